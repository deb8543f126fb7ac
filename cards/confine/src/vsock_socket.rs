//! The vsock card's socket, for a process that can connect to nothing else: seccomp compares the pointer given to
//! connect(2) with that of this name, in memory that the process can neither write nor map anew.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// A `sockaddr_un` as long as its name.
#[repr(C)]
struct SocketName {
    family: libc::sa_family_t,
    path: [u8; 11],
}

/// Of the working directory. Immutable and without relocations, so that it lies in read-only memory.
static NAME: SocketName = SocketName {
    family: libc::AF_UNIX as libc::sa_family_t,
    path: *b"vsock.sock\0",
};

/// What connect(2) is given, for the filter.
pub(crate) fn name() -> (*const libc::sockaddr, libc::socklen_t) {
    let length = size_of::<libc::sa_family_t>() + NAME.path.len();
    ((&raw const NAME).cast(), length as libc::socklen_t)
}

/// Connects a Unix stream socket to `vsock.sock` in the working directory.
///
/// # Errors
/// When nothing listens there, or it has no place for another connection.
pub fn connect(socket: impl AsFd) -> io::Result<()> {
    let (name, length) = name();
    // SAFETY: the descriptor is borrowed for the call, and the kernel only reads the name, of this length.
    let outcome = unsafe { libc::connect(socket.as_fd().as_raw_fd(), name, length) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
