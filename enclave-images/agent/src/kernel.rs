//! The one module with `unsafe`: kernel calls that have no safe wrapper in std or nix, each with
//! the reason why it is sound. Nothing here decides anything.

use crate::entropy::MAX_SEED_BYTES;
use crate::manifest::User;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
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

/// `_IOWR(0x0a, 0, struct nsm_raw)` of Linux include/uapi/linux/nsm.h.
const NSM_IOCTL_RAW: libc::Ioctl = 0xc020_0a00;

/// `struct nsm_raw`: where the request lies, and where the response goes.
#[repr(C)]
struct NsmRaw {
    request: libc::iovec,
    response: libc::iovec,
}

/// Sends a request to the kernel's NSM device; returns how many bytes of `response` were filled.
pub fn ask_nsm(device: &File, request: &[u8], response: &mut [u8]) -> io::Result<usize> {
    let mut message = NsmRaw {
        request: libc::iovec {
            iov_base: request.as_ptr().cast_mut().cast(),
            iov_len: request.len(),
        },
        response: libc::iovec {
            iov_base: response.as_mut_ptr().cast(),
            iov_len: response.len(),
        },
    };
    // SAFETY: the kernel reads the request and writes at most iov_len bytes of the response, and both
    // outlive the call; it leaves the number of bytes in iov_len.
    check(unsafe { libc::ioctl(device.as_raw_fd(), NSM_IOCTL_RAW, &raw mut message) })?;
    Ok(message.response.iov_len.min(response.len()))
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
