//! Seccomp's user notification: the calls of a program, and what is answered to them.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use libc::c_int;
use rustix::io::Errno;

use super::checked;
use crate::call::Call;

/// linux/seccomp.h, since Linux 6.6: the two sides take turns on one CPU.
const SYNC_WAKE_UP: u64 = 1;

/// Where the kernel reports the program's calls.
pub struct Reports(pub(super) OwnedFd);

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
