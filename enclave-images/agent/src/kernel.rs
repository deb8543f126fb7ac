//! The one module with `unsafe`: kernel calls that have no safe wrapper in std or nix, each with
//! the reason why it is sound. Nothing here decides anything.

use crate::entropy::MAX_SEED_BYTES;
use crate::manifest::User;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// Where the C start-up code jumps to.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, expect(dead_code, reason = "the test harness has its own main"))]
pub extern "C" fn main() -> libc::c_int {
    crate::run()
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Sets IFF_UP on `lo`; the kernel then gives it 127.0.0.1 and ::1.
pub fn bring_up_loopback() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    // SAFETY: both calls take a valid ifreq that outlives them; the first sets ifru_flags.
    unsafe {
        check(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS,
            &raw mut request,
        ))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        check(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &raw const request,
        ))?;
    }
    Ok(())
}

/// `_IOW('R', 3, int[2])`, which libc does not have.
const RNDADDENTROPY: libc::Ioctl = 0x4008_5203;

/// `struct rand_pool_info` with room for the largest seed.
#[repr(C)]
struct RandPoolInfo {
    entropy_bits: libc::c_int,
    size_bytes: libc::c_int,
    bytes: [u8; MAX_SEED_BYTES],
}

/// Adds `seed` to the kernel's random pool and credits every bit of it (random(4) RNDADDENTROPY).
///
/// # Errors
/// `InvalidInput` when the seed is longer than 256 bytes, and what the kernel reports.
pub fn credit_entropy(seed: &[u8]) -> io::Result<()> {
    let size_bytes = libc::c_int::try_from(seed.len()).map_err(|_| ErrorKind::InvalidInput)?;
    let mut pool = RandPoolInfo {
        entropy_bits: size_bytes * 8,
        size_bytes,
        bytes: [0; MAX_SEED_BYTES],
    };
    pool.bytes
        .get_mut(..seed.len())
        .ok_or(ErrorKind::InvalidInput)?
        .copy_from_slice(seed);
    let device = File::options().write(true).open("/dev/random")?;
    // SAFETY: the kernel reads the header and size_bytes bytes, which lie inside `pool`.
    check(unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY, &raw const pool) })?;
    Ok(())
}

/// Makes the command lead a session of its own and drop to `user` just before it is executed.
pub fn become_user_before_exec(command: &mut Command, user: &User) {
    let User { uid, gid, groups } = user;
    let (uid, gid, groups) = (*uid, *gid, groups.clone());
    let drop_privileges = move || {
        // SAFETY: system calls without memory arguments, except setgroups, whose array lives in
        // the closure.
        unsafe {
            check(libc::setsid())?;
            check(libc::setgroups(groups.len(), groups.as_ptr()))?;
            check(libc::setresgid(gid, gid, gid))?;
            check(libc::setresuid(uid, uid, uid))?;
            check(libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_CLEAR_ALL,
                0,
                0,
                0,
            ))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls only; it does not allocate.
    unsafe { command.pre_exec(drop_privileges) };
}

/// Lets the command have these descriptors, under their numbers. They must stay open until it has started.
pub fn keep_open_on_exec(command: &mut Command, descriptors: Vec<RawFd>) {
    let keep_open = move || {
        for descriptor in &descriptors {
            // SAFETY: fcntl with F_SETFD takes no memory.
            check(unsafe { libc::fcntl(*descriptor, libc::F_SETFD, 0) })?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls only; it does not allocate.
    unsafe { command.pre_exec(keep_open) };
}

/// Signals a process group. A group that is already gone is not an error.
pub fn signal_group(leader: u32, signal: u8) {
    // SAFETY: no memory is involved. A pid fits pid_t (the kernel's limit is 2^22).
    unsafe { libc::kill(-leader.cast_signed(), libc::c_int::from(signal)) };
}

/// Waits until some child has ended, and leaves it to be reaped: until then its
/// number is not reused. (nix has this call, but its types know no real-time signals.)
pub fn wait_for_any_child() -> io::Result<u32> {
    loop {
        // SAFETY: siginfo_t is plain data; waitid fills it, and si_pid is valid after success.
        let pid = unsafe {
            let mut info: libc::siginfo_t = mem::zeroed();
            let options = libc::WEXITED | libc::WNOWAIT;
            check(libc::waitid(libc::P_ALL, 0, &raw mut info, options)).map(|_| info.si_pid())
        };
        match pid {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map(i32::cast_unsigned),
        }
    }
}

/// Reaps a child that [`wait_for_any_child`] returned.
pub fn reap(pid: u32) -> io::Result<ExitStatus> {
    let mut status = 0;
    // SAFETY: waitpid writes one int, to `status`.
    check(unsafe { libc::waitpid(pid.cast_signed(), &raw mut status, 0) })?;
    Ok(ExitStatus::from_raw(status))
}

/// Makes the clock run slower or faster until it has gained so many microseconds (adjtime(3)).
pub fn slew_clock(microseconds: libc::c_long) -> io::Result<()> {
    /// linux/timex.h; adjtime(3)'s way to call adjtimex(2).
    const ADJ_OFFSET_SINGLESHOT: libc::c_uint = 0x8001;
    // SAFETY: timex is plain data, for which all zeroes is a value.
    let mut change: libc::timex = unsafe { mem::zeroed() };
    change.modes = ADJ_OFFSET_SINGLESHOT;
    change.offset = microseconds;
    // SAFETY: the call takes a valid timex that outlives it.
    let state = unsafe { libc::adjtimex(&raw mut change) };
    check(state).map(|_| ())
}

/// linux/if_tun.h
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
const TUN_F_CSUM: libc::c_ulong = 1;

/// Makes a TUN device, which lives as long as the descriptor. Reads and writes do not block; they carry
/// a `virtio_net_hdr`, and TCP and UDP checksums are left to whoever needs them.
pub fn open_tun(name: &str) -> io::Result<OwnedFd> {
    let device = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let last = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..last].iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the first call takes a valid ifreq that outlives it, the second a number.
    unsafe {
        check(libc::ioctl(device.as_raw_fd(), TUNSETIFF, &raw mut request))?;
        check(libc::ioctl(device.as_raw_fd(), TUNSETOFFLOAD, TUN_F_CSUM))?;
    }
    Ok(device.into())
}

/// What a loop device shows: a part of a file.
pub struct LoopTarget {
    pub offset: u64,
    pub size: u64,
}

/// linux/loop.h
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LO_FLAGS_READ_ONLY: u32 = 1;

/// `struct loop_config` with its `struct loop_info64`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    names: [u8; 64 + 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// Puts a part of `file` behind a free loop device, for reading alone, and returns its path. The
/// device keeps the file open.
pub fn attach_loop(file: &File, target: &LoopTarget) -> io::Result<String> {
    let control = File::open("/dev/loop-control")?;
    // SAFETY: the call takes no memory.
    let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })?;
    let path = format!("/dev/loop{number}");
    let device = File::open(&path)?;
    // SAFETY: plain data, for which all zeroes is a value.
    let mut config: LoopConfig = unsafe { mem::zeroed() };
    config.fd = file.as_raw_fd().cast_unsigned();
    config.offset = target.offset;
    config.size_limit = target.size;
    config.flags = LO_FLAGS_READ_ONLY;
    // SAFETY: the kernel reads one loop_config, which outlives the call.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) })?;
    Ok(path)
}

/// Gives a file the extended attributes of another; links are not followed. A file system that has none
/// is like one where the file has none.
pub fn copy_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    // SAFETY: the kernel writes at most `size` bytes to `list`; a null pointer goes with a size of 0.
    let names =
        read_sized(|list, size| unsafe { libc::llistxattr(from.as_ptr(), list.cast(), size) });
    let names = match names {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
        names => names?,
    };
    for name in names.split_inclusive(|&byte| byte == 0) {
        let name = CStr::from_bytes_with_nul(name).map_err(io::Error::other)?;
        // SAFETY: as above, and both names end with a NUL.
        let value = read_sized(|value, size| unsafe {
            libc::lgetxattr(from.as_ptr(), name.as_ptr(), value.cast(), size)
        })?;
        // SAFETY: the kernel reads `value.len()` bytes of `value`, which outlives the call.
        check(unsafe {
            libc::lsetxattr(
                to.as_ptr(),
                name.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
                0,
            )
        })?;
    }
    Ok(())
}

/// What a call returns that says how much it has when it is given no room.
fn read_sized(call: impl Fn(*mut u8, usize) -> libc::ssize_t) -> io::Result<Vec<u8>> {
    let length =
        |result: libc::ssize_t| usize::try_from(result).map_err(|_| io::Error::last_os_error());
    let mut bytes = vec![0; length(call(std::ptr::null_mut(), 0))?];
    let filled = length(call(bytes.as_mut_ptr(), bytes.len()))?;
    bytes.truncate(filled);
    Ok(bytes)
}
