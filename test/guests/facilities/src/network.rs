//! Networks inside the enclave.
#![forbid(unsafe_code)]

use crate::netlink::{ACK, CREATE, DUMP, ask, attribute};
use crate::system::{address, address_mut, ioctl, set_option, socket};
use crate::{Outcome, Probe, opens};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use vsock::{VMADDR_CID_ANY, VMADDR_CID_LOCAL, VsockListener, VsockStream};

const RTM_NEWLINK: u16 = 16;
const RTM_GETRULE: u16 = 34;
const RTM_NEWQDISC: u16 = 36;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const LOOPBACK_INDEX: u32 = 1;
const SIOCBRADDBR: u64 = 0x89a0;
const TUNSETIFF: u64 = 0x4004_54ca;
const MRT_INIT: i32 = 200;
const TCP_MD5SIG: i32 = 14;

pub const PROBES: &[Probe] = &[
    ("ipv6", || TcpListener::bind("[::1]:0").map(drop)),
    ("vsock-loopback", vsock_loopback),
    ("tun", tun),
    ("packet-sockets", || {
        socket(libc::AF_PACKET, libc::SOCK_RAW, 0x0300).map(drop)
    }),
    ("bridge", bridge),
    ("veth", veth),
    ("policy-routing", policy_routing),
    ("multicast", multicast),
    ("multicast-routing", multicast_routing),
    ("socket-diagnostics", socket_diagnostics),
    ("syn-cookies", || opens("/proc/sys/net/ipv4/tcp_syncookies")),
    ("tcp-md5", tcp_md5),
    ("traffic-control", traffic_control),
    ("xfrm", || {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_XFRM).map(drop)
    }),
];

fn vsock_loopback() -> Outcome {
    const PORT: u32 = 7000;
    let _listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, PORT)?;
    VsockStream::connect_with_cid_port(VMADDR_CID_LOCAL, PORT).map(drop)
}

fn tun() -> Outcome {
    const TAP_WITHOUT_HEADER: u16 = 0x1002;
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    let mut request = [0u8; 40];
    request[..4].copy_from_slice(b"tap7");
    request[16..18].copy_from_slice(&TAP_WITHOUT_HEADER.to_ne_bytes());
    ioctl(&device, TUNSETIFF, address_mut(&mut request)).map(drop)
}

fn bridge() -> Outcome {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    ioctl(&socket, SIOCBRADDBR, address(c"br7")).map(drop)
}

/// `struct ifinfomsg`, then IFLA_LINKINFO with IFLA_INFO_KIND.
fn veth() -> Outcome {
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    let mut body = vec![0; 16];
    body.extend(attribute(
        IFLA_LINKINFO,
        &attribute(IFLA_INFO_KIND, b"veth"),
    ));
    ask(libc::NETLINK_ROUTE, RTM_NEWLINK, ACK | CREATE, &body).map(drop)
}

/// The rules of both families: `struct fib_rule_hdr`.
fn policy_routing() -> Outcome {
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut body = [0; 12];
        body[0] = u8::try_from(family).unwrap_or_default();
        let answer = ask(libc::NETLINK_ROUTE, RTM_GETRULE, DUMP, &body)?;
        crate::ensure(answer.len() > 28, "no rules")?;
    }
    Ok(())
}

/// Joining is possible without it too; then no router hears of the group.
fn multicast() -> Outcome {
    opens("/proc/net/igmp")?;
    UdpSocket::bind("0.0.0.0:0")?
        .join_multicast_v4(&Ipv4Addr::new(239, 1, 2, 3), &Ipv4Addr::LOCALHOST)
}

fn multicast_routing() -> Outcome {
    let socket = socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_IGMP)?;
    set_option(&socket, libc::IPPROTO_IP, MRT_INIT, &1i32)
}

/// `struct inet_diag_req_v2` for TCP, `struct vsock_diag_req` for vsock.
fn socket_diagnostics() -> Outcome {
    let mut tcp = [0u8; 56];
    tcp[..2].copy_from_slice(&[2, 6]);
    tcp[4..8].fill(0xff);
    ask(libc::NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, DUMP, &tcp)?;
    let mut vsock = [0u8; 24];
    vsock[0] = 40;
    vsock[4..8].fill(0xff);
    ask(libc::NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, DUMP, &vsock).map(drop)
}

/// `struct tcp_md5sig` for the peer 127.0.0.1.
fn tcp_md5() -> Outcome {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    let mut signature = [0u8; 216];
    signature[..2].copy_from_slice(&[2, 0]);
    signature[4..8].copy_from_slice(&[127, 0, 0, 1]);
    signature[130] = 4;
    signature[136..140].fill(7);
    set_option(&socket, libc::IPPROTO_TCP, TCP_MD5SIG, &signature)
}

/// A queue of packets on `lo`: `struct tcmsg`, then TCA_KIND.
fn traffic_control() -> Outcome {
    const TCA_KIND: u16 = 1;
    const ROOT: u32 = 0xffff_ffff;
    let mut body = vec![0; 4];
    for number in [LOOPBACK_INDEX, 0x0001_0000, ROOT, 0] {
        body.extend(number.to_ne_bytes());
    }
    body.extend(attribute(TCA_KIND, b"pfifo\0"));
    ask(libc::NETLINK_ROUTE, RTM_NEWQDISC, ACK | CREATE, &body).map(drop)
}
