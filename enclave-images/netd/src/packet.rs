//! What a packet from the guest is: IPv4 (RFC 791) and IPv6 (RFC 8200) headers, and those of TCP and
//! UDP. Every byte is a program's that may have a raw socket, so nothing is taken for granted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;

const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;
const TCP_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;
/// Echo request, which alone among ICMP's messages asks for an answer here.
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;

/// What the IP header of a whole packet says.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The protocol of the payload; of IPv6 the first header's, which may be an extension's.
    pub protocol: u8,
    pub payload: Range<usize>,
    /// Whether it is a fragment, and whether it is the first one.
    fragment: Option<IsFirst>,
}

type IsFirst = bool;

impl Header {
    /// `None` for what is not a whole IP packet.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::parse_v4(packet),
            6 => Self::parse_v6(packet),
            _ => None,
        }
    }

    fn parse_v4(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; IPV4_HEADER_BYTES] = packet.first_chunk()?;
        let start = usize::from(fixed[0] & 0xf) * 4;
        let end = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let place = u16::from_be_bytes([fixed[6], fixed[7]]);
        let (more, offset) = (place & 0x2000 != 0, place & 0x1fff);
        let is_whole = start >= IPV4_HEADER_BYTES && start <= end && end <= packet.len();
        is_whole.then(|| Self {
            source: v4(&fixed[12..16]),
            destination: v4(&fixed[16..20]),
            protocol: fixed[9],
            payload: start..end,
            fragment: (more || offset != 0).then_some(offset == 0),
        })
    }

    fn parse_v6(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; IPV6_HEADER_BYTES] = packet.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let end = IPV6_HEADER_BYTES + length;
        (end <= packet.len()).then(|| Self {
            source: v6(&fixed[8..24]),
            destination: v6(&fixed[24..40]),
            protocol: fixed[6],
            payload: IPV6_HEADER_BYTES..end,
            fragment: None,
        })
    }

    /// From and to one machine each: others are neither relayed nor answered.
    fn is_unicast(&self) -> bool {
        let is_one = |address: IpAddr| match address {
            IpAddr::V4(it) => !(it.is_multicast() || it.is_broadcast() || it.is_unspecified()),
            IpAddr::V6(it) => !(it.is_multicast() || it.is_unspecified()),
        };
        is_one(self.source) && is_one(self.destination)
    }
}

/// From where, to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    pub syn: bool,
    pub ack: bool,
    pub rst: bool,
}

/// A packet, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet {
    Tcp {
        pair: Pair,
        flags: Flags,
    },
    Udp {
        pair: Pair,
        payload: Range<usize>,
    },
    /// Refused at once, so that nobody waits.
    Refused,
    /// Neither relayed nor answered: multicast, errors, what is malformed.
    Ignored,
}

impl Packet {
    pub fn classify(packet: &[u8]) -> Self {
        let Some(header) = Header::parse(packet).filter(Header::is_unicast) else {
            return Self::Ignored;
        };
        match header.fragment {
            Some(true) => return Self::Refused,
            Some(false) => return Self::Ignored,
            None => {}
        }
        let payload = packet.get(header.payload.clone()).unwrap_or_default();
        match (header.protocol, header.destination) {
            (TCP, _) => tcp(&header, payload).unwrap_or(Self::Ignored),
            (UDP, _) => udp(&header, payload).unwrap_or(Self::Ignored),
            (ICMP, IpAddr::V4(_)) => echo(payload, ECHO_REQUEST),
            (ICMPV6, IpAddr::V6(_)) => echo(payload, ECHO_REQUEST_V6),
            _ => Self::Refused,
        }
    }
}

fn tcp(header: &Header, segment: &[u8]) -> Option<Packet> {
    let fixed: &[u8; TCP_HEADER_BYTES] = segment.first_chunk()?;
    let bit = |mask: u8| fixed[13] & mask != 0;
    let flags = Flags {
        syn: bit(0x02),
        rst: bit(0x04),
        ack: bit(0x10),
    };
    let pair = pair(header, fixed)?;
    Some(Packet::Tcp { pair, flags })
}

fn udp(header: &Header, datagram: &[u8]) -> Option<Packet> {
    let fixed: &[u8; UDP_HEADER_BYTES] = datagram.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let is_whole = (UDP_HEADER_BYTES..=datagram.len()).contains(&length);
    let start = header.payload.start;
    let payload = start + UDP_HEADER_BYTES..start + length;
    let pair = pair(header, fixed).filter(|_| is_whole)?;
    Some(Packet::Udp { pair, payload })
}

/// Both protocols begin with the two ports, of which neither is 0.
fn pair(header: &Header, fixed: &[u8]) -> Option<Pair> {
    let port = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let (from, to) = (port(0), port(2));
    (from != 0 && to != 0).then(|| Pair {
        source: SocketAddr::new(header.source, from),
        destination: SocketAddr::new(header.destination, to),
    })
}

fn echo(message: &[u8], request: u8) -> Packet {
    match message.first() {
        Some(kind) if *kind == request => Packet::Refused,
        _ => Packet::Ignored,
    }
}

fn v4(bytes: &[u8]) -> IpAddr {
    let octets: [u8; 4] = bytes.try_into().unwrap_or_default();
    Ipv4Addr::from(octets).into()
}

fn v6(bytes: &[u8]) -> IpAddr {
    let octets: [u8; 16] = bytes.try_into().unwrap_or_default();
    Ipv6Addr::from(octets).into()
}

#[cfg(test)]
mod tests;
