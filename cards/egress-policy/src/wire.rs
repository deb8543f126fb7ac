//! What the guest's network process says on a stream to the host part, and what it answers. One vsock stream is one
//! flow; integers are big-endian.
//!
//! Request: version 1, kind, address (16 bytes, IPv4 mapped; zero for DNS), port (u16; zero for DNS), length of the
//! name (u8), name. Reply: one byte, a [`Status`]. Then TCP: bytes; UDP and DNS: frames of a length (u16) and a
//! message.

use std::net::{IpAddr, Ipv6Addr};

use crate::address::normalise;
use crate::name::{MAX_NAME_BYTES, Name};
use crate::policy::Protocol;

pub const VERSION: u8 = 1;
/// Version, kind, address, port, length of the name.
const HEAD_BYTES: usize = 1 + 1 + 16 + 2 + 1;
pub const MAX_REQUEST_BYTES: usize = HEAD_BYTES + MAX_NAME_BYTES;
pub const FRAME_HEAD_BYTES: usize = 2;
pub const MAX_FRAME_BYTES: usize = FRAME_HEAD_BYTES + u16::MAX as usize;

/// What a stream is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Flow {
        protocol: Protocol,
        address: IpAddr,
        port: u16,
        /// The name that the program looked up to get this address.
        name: Option<Name>,
    },
    Dns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    Ok = 0,
    /// By the policy that was measured.
    DeniedByImage = 1,
    /// By the operator's policy.
    DeniedByHost = 2,
    ConnectionRefused = 3,
    HostUnreachable = 4,
    NetworkUnreachable = 5,
    TimedOut = 6,
    TooManyFlows = 7,
    Malformed = 8,
}

impl Status {
    const ALL: [Self; 9] = [
        Self::Ok,
        Self::DeniedByImage,
        Self::DeniedByHost,
        Self::ConnectionRefused,
        Self::HostUnreachable,
        Self::NetworkUnreachable,
        Self::TimedOut,
        Self::TooManyFlows,
        Self::Malformed,
    ];

    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    #[must_use]
    pub fn to_byte(self) -> u8 {
        self as u8
    }
}

/// A stream that does not begin with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Request {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, address, port, name) = match self {
            Self::Flow {
                protocol,
                address,
                port,
                name,
            } => {
                let kind = match protocol {
                    Protocol::Tcp => 1,
                    Protocol::Udp => 2,
                };
                (kind, mapped(*address), *port, name.as_ref())
            }
            Self::Dns => (3, Ipv6Addr::UNSPECIFIED, 0, None),
        };
        let name = name.map_or("", Name::as_str).as_bytes();
        let mut bytes = vec![VERSION, kind];
        bytes.extend_from_slice(&address.octets());
        bytes.extend_from_slice(&port.to_be_bytes());
        bytes.push(name.len() as u8); // at most 253
        bytes.extend_from_slice(name);
        bytes
    }

    /// Reads a request at the beginning of `bytes` and says how long it is; nothing while it is not whole.
    ///
    /// # Errors
    /// As soon as it cannot become a request any more.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        if bytes.first().is_some_and(|version| *version != VERSION)
            || bytes.get(1).is_some_and(|kind| !(1..=3).contains(kind))
        {
            return Err(Malformed);
        }
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(head[HEAD_BYTES - 1]);
        if length > MAX_NAME_BYTES {
            return Err(Malformed);
        }
        let Some(name) = rest.get(..length) else {
            return Ok(None);
        };
        let request = Self::from_parts(head, name)?;
        Ok(Some((request, HEAD_BYTES + length)))
    }

    fn from_parts(head: &[u8; HEAD_BYTES], name: &[u8]) -> Result<Self, Malformed> {
        let [_, kind, address @ .., port_high, port_low, _] = *head;
        let (address, port) = (
            Ipv6Addr::from(address),
            u16::from_be_bytes([port_high, port_low]),
        );
        let protocol = match kind {
            1 => Protocol::Tcp,
            2 => Protocol::Udp,
            3 if address.is_unspecified() && port == 0 && name.is_empty() => return Ok(Self::Dns),
            _ => return Err(Malformed),
        };
        if port == 0 {
            return Err(Malformed);
        }
        Ok(Self::Flow {
            protocol,
            address: normalise(IpAddr::V6(address)),
            port,
            name: read_name(name)?,
        })
    }
}

/// As it is written: in lower case.
fn read_name(bytes: &[u8]) -> Result<Option<Name>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
    let name = Name::new(text).map_err(|_| Malformed)?;
    if name.as_str() != text {
        return Err(Malformed);
    }
    Ok(Some(name))
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// A frame of a message; nothing when the message is longer than a frame can be.
#[must_use]
pub fn frame(message: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(message.len()).ok()?;
    Some([&length.to_be_bytes(), message].concat())
}

/// The first message in `bytes` and how many bytes its frame has; nothing while it is not whole.
#[must_use]
pub fn split_frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.split_first_chunk::<FRAME_HEAD_BYTES>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    Some((rest.get(..length)?, FRAME_HEAD_BYTES + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::Flow {
            protocol: Protocol::Tcp,
            address: "10.1.2.3".parse().unwrap(),
            port: 443,
            name: Some(Name::new("a.example").unwrap()),
        }
    }

    #[test]
    fn a_request_is_these_bytes() {
        let expected = b"\x01\x01\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x01\x02\x03\x01\xbb\x09a.example";
        assert_eq!(request().encode(), expected);
        assert_eq!(Request::Dns.encode(), [&[1, 3][..], &[0; 19]].concat());
    }

    #[test]
    fn a_request_is_waited_for_until_it_is_whole_and_what_follows_is_left() {
        for request in [request(), Request::Dns] {
            let bytes = request.encode();
            for cut in 0..bytes.len() {
                assert_eq!(Request::decode(&bytes[..cut]), Ok(None));
            }
            let length = bytes.len();
            let longer = [&bytes[..], b"more"].concat();
            assert_eq!(Request::decode(&longer), Ok(Some((request, length))));
        }
    }

    #[test]
    fn refuses_what_is_not_a_request() {
        let with = |index: usize, byte: u8| {
            let mut bytes = request().encode();
            bytes[index] = byte;
            bytes
        };
        let no_port = [&request().encode()[..18], &[0, 0, 0]].concat();
        let named_dns = [&[1, 3][..], &[0; 18], &[1, b'a']].concat();
        for bytes in [
            with(0, 2),
            with(1, 0),
            with(1, 4),
            with(20, 254),
            with(21, b'A'),
            with(22, b' '),
            with(22, 0xff),
            no_port,
            named_dns,
        ] {
            assert_eq!(Request::decode(&bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_carries_up_to_65535_bytes() {
        for length in [0, 1, 65535] {
            let message = vec![7; length];
            let framed = frame(&message).unwrap();
            assert_eq!(split_frame(&framed), Some((&message[..], length + 2)));
            assert_eq!(split_frame(&framed[..framed.len() - 1]), None);
        }
        assert_eq!(frame(&vec![7; 65536]), None);
    }

    #[test]
    fn a_status_is_its_byte() {
        for byte in 0..=u8::MAX {
            assert_eq!(
                Status::from_byte(byte).map(Status::to_byte),
                (byte < 9).then_some(byte)
            );
        }
    }
}
