//! Sockets to where flows lead.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use cloister_egress_policy::wire::Status;
use cloister_egress_policy::{HOST_ADDRESS, Protocol};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

/// Without a byte from the other side, before it is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(120);
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
const PROBES: u32 = 4;

/// Where a flow to `address` really leads: the host's alias stands for its loopback.
#[must_use]
pub fn target(address: IpAddr, port: u16) -> SocketAddr {
    let address = match address {
        IpAddr::V4(v4) if v4 == HOST_ADDRESS => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(address, port)
}

/// Begins to connect; a datagram socket is connected at once.
///
/// # Errors
/// When the kernel knows at once that it cannot be reached.
pub fn dial(protocol: Protocol, target: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match target {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, kind, flags, None)?;
    if protocol == Protocol::Tcp {
        prepare_connection(&socket)?;
    }
    loop {
        match connect(&socket, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => return Ok(socket),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What every connection with the world is like.
///
/// # Errors
/// When the kernel refuses an option.
pub fn prepare_connection(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)?;
    // vsock has no urgent data: the byte comes in its place (RFC 6093 section 6), and is not lost.
    sockopt::set_socket_oobinline(socket, true)?;
    notice_silence(socket)
}

/// Ends connections whose other side has gone without a word: an app that waits for it would hold a flow for ever.
fn notice_silence(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, SILENCE)?;
    sockopt::set_tcp_keepintvl(socket, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, PROBES)
}

/// What the guest is told of a connection that failed.
#[must_use]
pub fn status_of(error: &io::Error) -> Status {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED | Errno::CONNRESET) => Status::ConnectionRefused,
        Some(Errno::NETUNREACH | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            Status::NetworkUnreachable
        }
        Some(Errno::TIMEDOUT) => Status::TimedOut,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::AGAIN) => Status::TooManyFlows,
        _ => Status::HostUnreachable,
    }
}
