//! Descriptors of which only the number is known: handed down by the keeper, or let go by a crate.
//! With `vsock_socket`, the cards' only unsafe code.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// The number in `fd=N` of a command line; none of the standard streams.
///
/// # Errors
/// What is wrong with `value`, in words.
pub fn parse_descriptor(value: &str) -> Result<RawFd, String> {
    value
        .strip_prefix("fd=")
        .and_then(|number| number.parse().ok())
        .filter(|number| *number > 2)
        .ok_or_else(|| format!("{value}: not fd=N with N above 2"))
}

/// Takes ownership of an inherited descriptor; call once per number, before opening any other.
///
/// # Errors
/// When the number is that of a standard stream or of no open descriptor.
pub fn take_inherited(number: RawFd) -> std::io::Result<OwnedFd> {
    if number <= 2 {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the command line names this descriptor as handed over to us. Nothing else in the
    // process owns it: the caller takes each number once, while the process holds no other
    // descriptors than its inherited ones. Whether it is open is checked before it is used.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl_getfd(&fd) {
        Ok(flags) => {
            fcntl_setfd(&fd, flags | FdFlags::CLOEXEC)?;
            Ok(fd)
        }
        Err(error) => {
            std::mem::forget(fd); // not open: there is nothing to close
            Err(error.into())
        }
    }
}

/// Takes back a descriptor whose owner gave up its number without closing it (`into_raw_fd`); call
/// once per number, after whatever used it has ended.
#[must_use]
pub fn take_back(number: RawFd) -> OwnedFd {
    // SAFETY: the caller names a descriptor that is open and that nothing owns any more.
    unsafe { OwnedFd::from_raw_fd(number) }
}
