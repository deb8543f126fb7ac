//! The NSM's ioctl, 0xC0200A00. The kernel asks three times, each time with more of the caller's
//! memory: nothing, the 32-byte argument, the argument and the request it points to.
#![forbid(unsafe_code)]

use super::abi::{Iovec, Reader, ioctl_done, ioctl_retry, reply};
use super::protocol::Action;
use cloister_roles::nsm::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};
use nix::errno::Errno;

/// `_IOWR(0x0A, 0, 32 bytes)`.
pub const NSM_IOCTL: u32 = 0xc020_0a00;
/// Two iovecs: request and response.
pub const ARGUMENT_BYTES: u32 = 32;

/// The ioctl's argument, which lies at `address` in the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Argument {
    address: u64,
    request: Iovec,
    response: Iovec,
}

/// A request that is complete, and where its answer goes.
#[derive(Debug, PartialEq, Eq)]
pub struct NsmCall<'a> {
    unique: u64,
    argument: Argument,
    pub request: &'a [u8],
    /// Bytes of response that the caller has room for.
    capacity: usize,
}

/// Decides about one of the three turns; the reader stands at `struct fuse_ioctl_in`.
///
/// # Errors
/// EINVAL for a foreign ioctl or sizes that do not fit, EMSGSIZE for a request above 4096 bytes.
pub fn decide(unique: u64, mut from: Reader<'_>) -> Result<Action<'_>, Errno> {
    let turn = from.ioctl_in().ok_or(Errno::EINVAL)?;
    if turn.command != NSM_IOCTL || turn.in_size as usize != from.0.len() {
        return Err(Errno::EINVAL);
    }
    let whole = Iovec {
        base: turn.argument,
        len: ARGUMENT_BYTES.into(),
    };
    if turn.in_size == 0 {
        return Ok(Action::Reply(reply(
            unique,
            0,
            &[&ioctl_retry(&[whole], &[])],
        )));
    }
    let argument = Argument::read(turn.argument, &mut from).ok_or(Errno::EINVAL)?;
    if turn.out_size == 0 {
        let (inputs, outputs) = argument.memory()?;
        return Ok(Action::Reply(reply(
            unique,
            0,
            &[&ioctl_retry(&inputs, &outputs)],
        )));
    }
    // The caller may have changed the argument since; what was copied is what counts.
    if from.0.len() > MAX_REQUEST_BYTES {
        return Err(Errno::EMSGSIZE);
    }
    let capacity = turn
        .out_size
        .checked_sub(ARGUMENT_BYTES)
        .ok_or(Errno::EINVAL)? as usize;
    Ok(Action::Call(NsmCall {
        unique,
        argument,
        request: from.0,
        capacity,
    }))
}

impl Argument {
    fn read(address: u64, from: &mut Reader<'_>) -> Option<Self> {
        let mut iovec = || {
            Some(Iovec {
                base: from.u64()?,
                len: from.u64()?,
            })
        };
        Some(Self {
            address,
            request: iovec()?,
            response: iovec()?,
        })
    }

    /// What to copy in and out for the last turn.
    fn memory(&self) -> Result<([Iovec; 2], [Iovec; 2]), Errno> {
        if self.request.len > MAX_REQUEST_BYTES as u64 {
            return Err(Errno::EMSGSIZE);
        }
        let whole = Iovec {
            base: self.address,
            len: ARGUMENT_BYTES.into(),
        };
        let len = self.response.len.min(MAX_RESPONSE_BYTES as u64);
        Ok((
            [whole, self.request],
            [
                whole,
                Iovec {
                    len,
                    ..self.response
                },
            ],
        ))
    }

    fn with_response_length(&self, length: usize) -> Vec<u8> {
        [
            self.request.base,
            self.request.len,
            self.response.base,
            length as u64,
        ]
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect()
    }
}

impl NsmCall<'_> {
    /// The reply with the NSM's response, cut without a word to the room the caller has, as AWS's
    /// driver does.
    pub fn answer(&self, response: &[u8]) -> Vec<u8> {
        let response = &response[..response.len().min(self.capacity)];
        let argument = self.argument.with_response_length(response.len());
        reply(self.unique, 0, &[&ioctl_done(), &argument, response])
    }

    /// The reply when there is no response.
    pub fn fail(&self, errno: Errno) -> Vec<u8> {
        reply(self.unique, -(errno as i32), &[])
    }
}
