//! Packets that netd writes by itself: ICMP errors (RFC 792, RFC 4443), resets of TCP (RFC 9293 section
//! 3.10.7.1) and UDP datagrams.

use crate::addresses::{ROUTER_V4, ROUTER_V6};
use crate::offload::Sum;
use crate::packet::{Header, ICMP, ICMPV6, Pair, TCP, UDP};
use std::net::IpAddr;

/// What of a refused packet is quoted: its headers, so that the kernel finds the socket.
const QUOTED_BYTES: usize = 128;
const ICMP_HEADER_BYTES: usize = 8;
const HOP_LIMIT: u8 = 64;

/// Bits of a segment's thirteenth byte (RFC 9293 section 3.1).
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Why a packet goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// By a policy: EACCES for a program that uses IPv6, EHOSTUNREACH with IPv4.
    Prohibited,
    Network,
    Host,
    Port,
}

impl Unreachable {
    /// ICMP type 3 (RFC 1812 section 5.2.7.1).
    fn code_v4(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 1,
            Self::Port => 3,
            Self::Prohibited => 13,
        }
    }

    /// ICMPv6 type 1 (RFC 4443 section 3.1).
    fn code_v6(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Prohibited => 1,
            Self::Host => 3,
            Self::Port => 4,
        }
    }
}

/// The error that tells the sender of `packet` why; `None` when it is not a packet.
pub fn unreachable(packet: &[u8], why: Unreachable) -> Option<Vec<u8>> {
    let header = Header::parse(packet)?;
    let quoted = packet.get(..packet.len().min(QUOTED_BYTES))?;
    let (router, protocol, kind, code) = match header.source {
        IpAddr::V4(_) => (IpAddr::V4(ROUTER_V4), ICMP, 3, why.code_v4()),
        IpAddr::V6(_) => (IpAddr::V6(ROUTER_V6), ICMPV6, 1, why.code_v6()),
    };
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(quoted);
    let checksum = icmp_checksum(&message, router, header.source);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    debug_assert_eq!(message.len(), ICMP_HEADER_BYTES + quoted.len());
    Some(ip_packet(router, header.source, protocol, &message))
}

/// ICMPv6's covers the addresses too.
fn icmp_checksum(message: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
    let mut sum = Sum::default();
    sum.add(message);
    if destination.is_ipv6() {
        sum.add_address(source);
        sum.add_address(destination);
        sum.add(&[0, ICMPV6]);
        sum.add(&(message.len() as u32).to_be_bytes());
    }
    !sum.fold()
}

/// The reset that answers a segment for which there is no connection; `None` when it is a reset itself,
/// or not a segment.
pub fn reset(packet: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(packet)?;
    let segment = packet.get(header.payload.clone())?;
    let fixed: &[u8; 20] = segment.first_chunk()?;
    let flags = fixed[13];
    if header.protocol != TCP || flags & RST != 0 {
        return None;
    }
    let number =
        |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let data = segment
        .len()
        .saturating_sub(usize::from(fixed[12] >> 4) * 4) as u32;
    let used = data + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    let (sequence, acknowledged, answer) = match flags & ACK {
        0 => (0, number(4).wrapping_add(used), RST | ACK),
        _ => (number(8), 0, RST),
    };
    let mut reset = [0; 20];
    reset[0..2].copy_from_slice(&fixed[2..4]);
    reset[2..4].copy_from_slice(&fixed[0..2]);
    reset[4..8].copy_from_slice(&u32::to_be_bytes(sequence));
    reset[8..12].copy_from_slice(&u32::to_be_bytes(acknowledged));
    reset[12] = 5 << 4;
    reset[13] = answer;
    Some(ip_packet(header.destination, header.source, TCP, &reset))
}

/// A segment to the guest that opens the connection that `pair` has in the guest's view.
pub fn opening(pair: &Pair) -> Vec<u8> {
    let (from, to) = (pair.destination, pair.source);
    let mut segment = [0; 20];
    segment[0..2].copy_from_slice(&from.port().to_be_bytes());
    segment[2..4].copy_from_slice(&to.port().to_be_bytes());
    segment[12] = 5 << 4;
    segment[13] = SYN;
    ip_packet(from.ip(), to.ip(), TCP, &segment)
}

/// A datagram to the guest, the other way round than `pair`; `None` when it is too long for a packet.
pub fn datagram(pair: &Pair, payload: &[u8]) -> Option<Vec<u8>> {
    let (from, to) = (pair.destination, pair.source);
    let length = u16::try_from(payload.len() + 8).ok()?;
    let room = if to.is_ipv4() {
        65_535 - 20
    } else {
        65_535 - 40
    };
    if usize::from(length) > room {
        return None;
    }
    let mut message = Vec::with_capacity(usize::from(length));
    for number in [from.port(), to.port(), length, 0] {
        message.extend_from_slice(&number.to_be_bytes());
    }
    message.extend_from_slice(payload);
    Some(ip_packet(from.ip(), to.ip(), UDP, &message))
}

/// Of two families there is no packet: then it is empty, and the kernel refuses it.
fn ip_packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = (20 + payload.len()) as u16;
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, HOP_LIMIT, protocol, 0, 0];
            header[2..4].copy_from_slice(&length.to_be_bytes());
            header.extend(source.octets());
            header.extend(destination.octets());
            let mut sum = Sum::default();
            sum.add(&header);
            header[10..12].copy_from_slice(&(!sum.fold()).to_be_bytes());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = payload.len() as u16;
            let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, HOP_LIMIT];
            header[4..6].copy_from_slice(&length.to_be_bytes());
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        _ => return Vec::new(),
    };
    packet.extend_from_slice(payload);
    packet
}
