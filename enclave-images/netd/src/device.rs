//! The network device's addresses and routes, set over rtnetlink (RFC 3549; linux/rtnetlink.h). Numbers
//! are in the machine's byte order.

use crate::addresses::{DEVICE, GUEST_V4, GUEST_V6, MTU};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
/// REQUEST, ACK.
const CHANGE: u16 = 0x1 | 0x4;
/// Also CREATE, REPLACE.
const SET: u16 = CHANGE | 0x400 | 0x100;
/// The answer's type, which also confirms: its number then is 0.
const ERROR: u16 = 2;
const HEADER_BYTES: usize = 16;

const INET: u8 = 2;
const INET6: u8 = 10;
const IFLA_MTU: u16 = 4;
const IFF_UP: u32 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Nobody else is there who could have the address.
const IFA_F_NODAD: u8 = 2;
const RTA_OIF: u16 = 4;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_LINK: u8 = 253;
const UNICAST: u8 = 1;

/// Gives the device its addresses, makes it the way to everywhere, and turns it on.
///
/// # Errors
/// What the kernel reports, for the first step that fails.
pub fn configure() -> io::Result<()> {
    // No address of the kernel's own making, of which programs might be asked.
    let _ = fs::write(
        format!("/proc/sys/net/ipv6/conf/{DEVICE}/addr_gen_mode"),
        "1",
    );
    let index = if_nametoindex(DEVICE)?;
    let kernel = Kernel::connect()?;
    kernel.ask(NEW_LINK, CHANGE, &link(index))?;
    kernel.ask(NEW_ADDRESS, SET, &address(index, INET, &GUEST_V4.octets()))?;
    kernel.ask(NEW_ADDRESS, SET, &address(index, INET6, &GUEST_V6.octets()))?;
    kernel.ask(NEW_ROUTE, SET, &default_route(index, INET, SCOPE_LINK))?;
    kernel.ask(NEW_ROUTE, SET, &default_route(index, INET6, 0))
}

/// `ifinfomsg`: up, with the longest packets.
fn link(index: u32) -> Vec<u8> {
    let mut message = vec![0; 4];
    for number in [index, IFF_UP, IFF_UP] {
        message.extend(number.to_ne_bytes());
    }
    attribute(&mut message, IFLA_MTU, &(MTU as u32).to_ne_bytes());
    message
}

/// `ifaddrmsg`: an address alone on its network.
fn address(index: u32, family: u8, bytes: &[u8]) -> Vec<u8> {
    let prefix_bits = bytes.len() as u8 * 8;
    let mut message = vec![family, prefix_bits, IFA_F_NODAD, 0];
    message.extend(index.to_ne_bytes());
    attribute(&mut message, IFA_LOCAL, bytes);
    attribute(&mut message, IFA_ADDRESS, bytes);
    message
}

/// `rtmsg`: to any address.
fn default_route(index: u32, family: u8, scope: u8) -> Vec<u8> {
    let mut message = vec![family, 0, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, scope, UNICAST];
    message.extend([0; 4]);
    attribute(&mut message, RTA_OIF, &index.to_ne_bytes());
    message
}

/// Every value here has a multiple of four bytes, so none is padded.
fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend((value.len() as u16 + 4).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
}

struct Kernel(OwnedFd);

impl Kernel {
    fn connect() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let route = SockProtocol::NetlinkRoute;
        Ok(Self(socket(
            AddressFamily::Netlink,
            SockType::Raw,
            flags,
            route,
        )?))
    }

    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let mut message = ((HEADER_BYTES + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0; 1024];
        let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let answer = answer.get(..length).unwrap_or_default();
        match (
            number(answer, 4).map(|it| it as u16),
            number(answer, HEADER_BYTES),
        ) {
            (Some(ERROR), Some(0)) => Ok(()),
            (Some(ERROR), Some(error)) => Err(io::Error::from_raw_os_error(-error.cast_signed())),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
