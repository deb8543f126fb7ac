//! The system calls that no safe crate wraps: seccomp's user notification (seccomp_unotify(2)), another
//! process's memory, signals as a descriptor. The only unsafe code of this program.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use libc::{c_int, c_void, sock_filter, sock_fprog};
use rustix::io::Errno;

use crate::call::Call;

/// linux/seccomp.h, since Linux 6.6: the two sides take turns on one CPU.
const SYNC_WAKE_UP: u64 = 1;

/// Where the kernel reports the program's calls.
pub struct Reports(OwnedFd);

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Reports {
    /// The next call; `None` when it was given up meanwhile.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn next(&self) -> io::Result<Option<Call>> {
        // SAFETY: the structure is plain integers, for which zero is a value; the kernel wants zeros.
        let mut report: libc::seccomp_notif = unsafe { zeroed() };
        match self.ioctl(libc::SECCOMP_IOCTL_NOTIF_RECV, &mut report) {
            Ok(_) => Ok(Some(Call {
                id: report.id,
                thread: report.pid as i32,
                number: i64::from(report.data.nr),
                arguments: report.data.args,
            })),
            Err(Errno::NOENT | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the caller still waits; its thread's number is another's from its end on.
    #[must_use]
    pub fn is_waiting(&self, id: u64) -> bool {
        let mut id = id;
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut id)
            .is_ok()
    }

    /// Lets the kernel do the call.
    ///
    /// # Errors
    /// `ENOENT` when nobody waits any more, as the following.
    pub fn pass(&self, id: u64) -> Result<(), Errno> {
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        self.respond(libc::seccomp_notif_resp {
            id,
            val: 0,
            error: 0,
            flags,
        })
    }

    /// # Errors
    /// `ENOENT`
    pub fn answer(&self, id: u64, result: Result<i64, Errno>) -> Result<(), Errno> {
        self.respond(libc::seccomp_notif_resp {
            id,
            val: result.unwrap_or(0),
            error: result.err().map_or(0, |error| -error.raw_os_error()),
            flags: 0,
        })
    }

    /// Gives the caller the socket as its lowest free descriptor, and that number as the result.
    ///
    /// # Errors
    /// `ENOENT`, or why the caller cannot have another descriptor.
    pub fn answer_with(
        &self,
        id: u64,
        socket: BorrowedFd<'_>,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        self.add(libc::seccomp_notif_addfd {
            id,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: socket.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: cloexec(close_on_exec),
        })
    }

    /// Puts the socket in the place of a descriptor of the caller, who goes on waiting.
    ///
    /// # Errors
    /// `ENOENT`
    pub fn replace(
        &self,
        id: u64,
        number: RawFd,
        socket: BorrowedFd<'_>,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        self.add(libc::seccomp_notif_addfd {
            id,
            flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
            srcfd: socket.as_raw_fd() as u32,
            newfd: number as u32,
            newfd_flags: cloexec(close_on_exec),
        })
    }

    /// Whether the kernel gives descriptors and answers in one step: Linux 5.14 and later.
    #[must_use]
    pub fn answers_with_descriptors(&self) -> bool {
        // No call has the number 0, of which a kernel that knows the flag complains first.
        self.answer_with(0, self.as_fd(), true) != Err(Errno::INVAL)
    }

    /// Lets caller and supervisor take turns on one CPU, where the kernel can (Linux 6.6).
    pub fn take_turns(&self) {
        // SAFETY: this request takes its flags as the argument itself.
        unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                SYNC_WAKE_UP,
            )
        };
    }

    fn respond(&self, mut response: libc::seccomp_notif_resp) -> Result<(), Errno> {
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_SEND, &mut response)
            .map(drop)
    }

    fn add(&self, mut addition: libc::seccomp_notif_addfd) -> Result<(), Errno> {
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ADDFD, &mut addition)
            .map(drop)
    }

    fn ioctl<T>(&self, request: libc::Ioctl, value: &mut T) -> Result<c_int, Errno> {
        // SAFETY: each request above is given the structure that linux/seccomp.h names for it.
        checked(unsafe { libc::ioctl(self.0.as_raw_fd(), request, std::ptr::from_mut(value)) })
    }
}

fn cloexec(close_on_exec: bool) -> u32 {
    if close_on_exec {
        libc::O_CLOEXEC as u32
    } else {
        0
    }
}

/// Why a program did not start.
#[derive(Debug)]
pub enum SpawnError {
    /// seccomp(2) refused the filter.
    Filter(io::Error),
    Program(io::Error),
}

/// Starts the program behind the filter, without new privileges and with the signals blocked that were
/// before [`Signals::take`]; it dies with this thread.
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn_filtered(
    mut command: Command,
    filter: Vec<sock_filter>,
    signals: &Signals,
) -> Result<(Child, Reports), SpawnError> {
    let (ours, theirs) = UnixStream::pair().map_err(SpawnError::Filter)?;
    let parent = std::process::id();
    let channel = theirs.as_raw_fd();
    let blocked = signals.blocked_before;
    // SAFETY: between fork and exec of a process with one thread the closure makes system calls
    // and nothing else; what it uses was allocated before.
    unsafe { command.pre_exec(move || enter(parent, channel, &filter, &blocked)) };
    let child = command.spawn().map_err(SpawnError::Program);
    drop(theirs);
    match (child, receive_descriptor(&ours)) {
        (Ok(child), Ok(reports)) => Ok((child, Reports(reports))),
        (Err(error), Ok(_)) => Err(error), // it got as far as exec
        (Err(SpawnError::Program(error)), Err(_)) => Err(SpawnError::Filter(error)),
        (_, Err(error)) => Err(SpawnError::Filter(error)),
    }
}

/// In the child: the filter, whose reports go to the supervisor.
fn enter(
    parent: u32,
    channel: RawFd,
    filter: &[sock_filter],
    blocked: &libc::sigset_t,
) -> io::Result<()> {
    // SAFETY: a set of signals that the kernel gave us.
    checked(unsafe { libc::sigprocmask(libc::SIG_SETMASK, blocked, std::ptr::null_mut()) })?;
    const PR_SET: [(c_int, usize); 2] = [
        (libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize),
        (libc::PR_SET_NO_NEW_PRIVS, 1),
    ];
    for (option, value) in PR_SET {
        // SAFETY: both options take integers.
        checked(unsafe { libc::prctl(option, value, 0, 0, 0) })?;
    }
    // SAFETY: getppid(2) takes nothing.
    if unsafe { libc::getppid() } as u32 != parent {
        return Err(Errno::SRCH.into()); // it died before PDEATHSIG was set
    }
    let program = sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: `program` points to `len` instructions, which the kernel copies and checks.
    let reports = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    send_descriptor(channel, checked(reports as c_int)?)
}

/// Room for one descriptor in a control message.
#[repr(C, align(8))]
struct ControlBuffer([u8; 24]);

fn with_message<R>(
    control: &mut ControlBuffer,
    use_message: impl FnOnce(&mut libc::msghdr) -> R,
) -> R {
    let mut byte = [0_u8; 1];
    let mut part = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    // SAFETY: plain integers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of::<ControlBuffer>();
    use_message(&mut message)
}

fn send_descriptor(channel: RawFd, descriptor: RawFd) -> io::Result<()> {
    let mut control = ControlBuffer([0; 24]);
    with_message(&mut control, |message| {
        // SAFETY: the control buffer is aligned for and as large as a header with one descriptor.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as usize;
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize;
            libc::CMSG_DATA(header)
                .cast::<RawFd>()
                .write_unaligned(descriptor);
            checked(libc::sendmsg(channel, message, 0) as c_int)?;
        }
        Ok(())
    })
}

fn receive_descriptor(channel: &UnixStream) -> io::Result<OwnedFd> {
    let mut control = ControlBuffer([0; 24]);
    with_message(&mut control, |message| {
        // SAFETY: the kernel fills in what the message points to, all of which outlives the call;
        // a header of SCM_RIGHTS is followed by a descriptor that is ours from now on.
        unsafe {
            checked(libc::recvmsg(channel.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC) as c_int)?;
            let header = libc::CMSG_FIRSTHDR(message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let descriptor = libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned();
            Ok(OwnedFd::from_raw_fd(descriptor))
        }
    })
}

/// Reads `bytes` from an address in another process.
///
/// # Errors
/// `EFAULT` when not all of it is readable, `EPERM`, `ESRCH`.
pub fn read_memory(process: i32, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
    let (ours, theirs) = parts(bytes.as_mut_ptr(), address, bytes.len());
    // SAFETY: `ours` describes `bytes`, which is borrowed mutably; the kernel checks the other side.
    let count =
        unsafe { libc::process_vm_readv(process, &raw const ours, 1, &raw const theirs, 1, 0) };
    whole(count, bytes.len())
}

/// # Errors
/// As [`read_memory`].
pub fn write_memory(process: i32, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    let (ours, theirs) = parts(bytes.as_ptr().cast_mut(), address, bytes.len());
    // SAFETY: `ours` describes `bytes`, which is only read; the kernel checks the other side.
    let count =
        unsafe { libc::process_vm_writev(process, &raw const ours, 1, &raw const theirs, 1, 0) };
    whole(count, bytes.len())
}

fn parts(bytes: *mut u8, address: u64, iov_len: usize) -> (libc::iovec, libc::iovec) {
    let ours = libc::iovec {
        iov_base: bytes.cast(),
        iov_len,
    };
    let theirs = libc::iovec {
        iov_base: address as *mut c_void,
        iov_len,
    };
    (ours, theirs)
}

fn whole(count: isize, wanted: usize) -> Result<(), Errno> {
    match usize::try_from(count) {
        Ok(count) if count == wanted => Ok(()),
        Ok(_) => Err(Errno::FAULT),
        Err(_) => Err(last_error()),
    }
}

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    pub number: i32,
    /// Whether a process sent it, not the kernel (a terminal, an end of a child).
    pub is_sent: bool,
}

/// Signals that are read instead of acted on.
pub struct Signals {
    descriptor: OwnedFd,
    blocked_before: libc::sigset_t,
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Signals {
    /// # Errors
    /// As signalfd(2).
    pub fn take(numbers: &[i32]) -> io::Result<Self> {
        // SAFETY: the set is initialised before it is used; the descriptor is new and ours.
        unsafe {
            let mut set = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            for number in numbers {
                libc::sigaddset(set.as_mut_ptr(), *number);
            }
            let set = set.assume_init();
            let mut before = MaybeUninit::<libc::sigset_t>::uninit();
            checked(libc::sigprocmask(
                libc::SIG_BLOCK,
                &raw const set,
                before.as_mut_ptr(),
            ))?;
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            let descriptor = checked(libc::signalfd(-1, &raw const set, flags))?;
            Ok(Self {
                descriptor: OwnedFd::from_raw_fd(descriptor),
                blocked_before: before.assume_init(),
            })
        }
    }

    /// The next one that has come.
    #[must_use]
    pub fn next(&self) -> Option<Signal> {
        // SAFETY: plain integers; the kernel fills in the whole structure or nothing.
        unsafe {
            let mut info: libc::signalfd_siginfo = zeroed();
            let bytes = size_of_val(&info);
            let count = libc::read(self.descriptor.as_raw_fd(), (&raw mut info).cast(), bytes);
            (usize::try_from(count) == Ok(bytes)).then_some(Signal {
                number: info.ssi_signo as i32,
                is_sent: info.ssi_code <= 0,
            })
        }
    }
}

/// Whether an inherited descriptor is a socket of `AF_VSOCK`.
#[must_use]
pub fn is_vsock(number: RawFd) -> bool {
    let (mut family, mut length): (c_int, libc::socklen_t) = (0, size_of::<c_int>() as u32);
    // SAFETY: the kernel writes at most `length` bytes to `family`; a number that is not open is an error.
    let result = unsafe {
        let value = (&raw mut family).cast();
        libc::getsockopt(
            number,
            libc::SOL_SOCKET,
            libc::SO_DOMAIN,
            value,
            &raw mut length,
        )
    };
    result == 0 && family == libc::AF_VSOCK
}

fn checked(result: c_int) -> Result<c_int, Errno> {
    if result < 0 {
        Err(last_error())
    } else {
        Ok(result)
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
