//! What to answer to a CUSE message: pure, from bytes to bytes.
#![forbid(unsafe_code)]

use super::abi::{self, Reader, reply, words};
use super::ioctl::{self, NsmCall};
use nix::errno::Errno;

/// How to go on with one message from the kernel.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Write this to the device.
    Reply(Vec<u8>),
    /// Ask the NSM, then write what the call makes of its answer.
    Call(NsmCall<'a>),
    /// The message wants no reply.
    Nothing,
}

/// The reply to CUSE_INIT, which creates the device; `None` when the message is another.
pub fn initialise(message: &[u8]) -> Option<Vec<u8>> {
    let mut from = Reader(message);
    let header = from.header()?;
    let (major, minor) = (from.u32()?, from.u32()?);
    if header.opcode != abi::CUSE_INIT || major != abi::KERNEL_VERSION {
        return None;
    }
    let cuse_init_out = words(&[
        abi::KERNEL_VERSION,
        minor.min(abi::KERNEL_MINOR_VERSION),
        0, // unused
        abi::CUSE_UNRESTRICTED_IOCTL,
        abi::MAX_TRANSFER_BYTES, // max_read
        abi::MAX_TRANSFER_BYTES, // max_write
        0,                       // dev_major: any
        0,                       // dev_minor
    ]);
    const SPARE: [u8; 40] = [0; 40];
    Some(reply(
        header.unique,
        0,
        &[&cuse_init_out, &SPARE, b"DEVNAME=nsm\0"],
    ))
}

/// Decides about any message after CUSE_INIT. One without a readable header is dropped.
pub fn decide(message: &[u8]) -> Action<'_> {
    let mut from = Reader(message);
    let Some(header) = from.header() else {
        return Action::Nothing;
    };
    let unique = header.unique;
    match header.opcode {
        abi::OPEN => Action::Reply(reply(unique, 0, &[&open_out()])),
        abi::RELEASE => Action::Reply(reply(unique, 0, &[])),
        // An ioctl of AWS's driver is not interruptible either: the caller gets its answer.
        abi::INTERRUPT => Action::Nothing,
        abi::IOCTL => ioctl::decide(unique, from).unwrap_or_else(|errno| fail(unique, errno)),
        _ => fail(unique, Errno::ENOSYS),
    }
}

fn fail(unique: u64, errno: Errno) -> Action<'static> {
    Action::Reply(reply(unique, -(errno as i32), &[]))
}

/// `struct fuse_open_out`: no file handle, no seeking, no page cache.
fn open_out() -> Vec<u8> {
    words(&[0, 0, abi::FOPEN_DIRECT_IO | abi::FOPEN_NONSEEKABLE, 0])
}

#[cfg(test)]
mod tests;
