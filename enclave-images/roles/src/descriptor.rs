//! Descriptors that a process is started with, under numbers that its arguments say.

use std::io::{self, ErrorKind};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A descriptor that this process was started with, to be taken once. It is not left to further programs.
///
/// # Errors
/// For a standard stream, and where there is no such descriptor.
pub fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(ErrorKind::InvalidInput.into());
    }
    // SAFETY: fcntl with F_SETFD takes no memory, and fails where there is no such descriptor.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nothing else in this process owns it: its number came as an argument.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
