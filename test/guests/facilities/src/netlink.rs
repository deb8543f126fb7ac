//! Netlink: a request, and the kernel's answer or its error.
#![forbid(unsafe_code)]

use crate::Outcome;
use crate::system::{address, address_mut, call, number, socket};
use std::io;
use std::os::fd::AsRawFd;

const HEADER_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
pub const REQUEST: u16 = 0x01;
pub const ACK: u16 = 0x04;
pub const DUMP: u16 = 0x300;
pub const CREATE: u16 = 0x400;

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// Sends one message and returns the first bytes of the answer.
pub fn ask(protocol: i32, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let socket = socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
    let fd = number(socket.as_raw_fd());
    let length = u32::try_from(HEADER_BYTES + body.len()).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    call(
        libc::SYS_sendto,
        &[fd, address(&message[..]), message.len(), 0, 0, 0],
    )?;
    let mut answer = vec![0; 16384];
    let size = answer.len();
    let got = call(
        libc::SYS_recvfrom,
        &[fd, address_mut(&mut answer[..]), size, 0, 0, 0],
    )?;
    answer.truncate(got);
    match (answer.get(4..6), answer.get(16..20)) {
        (Some(kind), Some(&[a, b, c, d])) if kind == NLMSG_ERROR.to_ne_bytes() => {
            match i32::from_ne_bytes([a, b, c, d]) {
                0 => Ok(answer),
                error => Err(io::Error::from_raw_os_error(-error)),
            }
        }
        _ => Ok(answer),
    }
}

/// An attribute with its padding.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Asks for a generic netlink family by its name.
pub fn family(name: &str) -> io::Result<Vec<u8>> {
    let mut body = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
    body.extend(attribute(
        CTRL_ATTR_FAMILY_NAME,
        format!("{name}\0").as_bytes(),
    ));
    ask(libc::NETLINK_GENERIC, GENL_ID_CTRL, 0, &body)
}

/// Whether a system call is there at all: any other error than "not implemented" says it is.
pub fn present(result: io::Result<usize>) -> Outcome {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Err(error),
        _ => Ok(()),
    }
}
