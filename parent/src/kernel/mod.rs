//! The system calls that no safe crate wraps: seccomp's user notification (seccomp_unotify(2)), another
//! process's memory, signals as a descriptor. The only unsafe code of this program.
#![allow(unsafe_code)]

mod descriptors;
mod memory;
mod reports;
mod signals;
mod spawn;

use std::io;
use std::os::fd::RawFd;

use libc::c_int;
use rustix::io::Errno;

pub use memory::{read_memory, write_memory};
pub use reports::Reports;
pub use signals::{Signal, Signals};
pub use spawn::{SpawnError, spawn_filtered};

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
