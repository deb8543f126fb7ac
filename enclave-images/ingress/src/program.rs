//! Who listens on a port of the guest: on the loopback of either family, or at an address of the network device.
#![forbid(unsafe_code)]

use cloister_egress_policy::{GUEST_ADDRESS, GUEST_ADDRESS_V6, Protocol};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, socket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// A program whose queue is full does not answer. Shorter than the network card waits.
const PATIENCE: Duration = Duration::from_secs(15);
const ADDRESSES: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V4(GUEST_ADDRESS),
    IpAddr::V6(GUEST_ADDRESS_V6),
];

pub enum Program {
    Connection(TcpStream),
    Datagrams(UdpSocket),
}

/// # Errors
/// Why nothing listens at the first address.
pub async fn connect(protocol: Protocol, port: u16) -> io::Result<Program> {
    match protocol {
        Protocol::Tcp => Ok(Program::Connection(connect_tcp(port).await?)),
        Protocol::Udp => Ok(Program::Datagrams(connect_udp(port)?)),
    }
}

async fn connect_tcp(port: u16) -> io::Result<TcpStream> {
    let mut first = None;
    for address in ADDRESSES {
        match timeout(PATIENCE, TcpStream::connect((address, port))).await? {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into()))
}

/// Nothing tells whether somebody listens before a datagram is sent. The kernel chooses the socket's own port: the
/// sandbox allows no bind(2).
fn connect_udp(port: u16) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    let address = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    nix::sys::socket::connect(socket.as_raw_fd(), &address)?;
    UdpSocket::from_std(socket.into())
}
