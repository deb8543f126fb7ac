//! What the network card says first on a stream to the guest: one stream is one client's connection, or the datagrams
//! of one client. Integers are big-endian; addresses have 16 bytes, IPv4 mapped.
//!
//! Version 1, kind (1 TCP, 2 UDP), port in the guest (u16), address and port of the client, address and port that it
//! connected to. The answer is one byte, a `Status` of the egress wire. Then TCP: bytes; UDP: frames.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use cloister_egress_policy::Protocol;

const VERSION: u8 = 1;
const ENDPOINT_BYTES: usize = 16 + 2;
pub const ARRIVAL_BYTES: usize = 1 + 1 + 2 + 2 * ENDPOINT_BYTES;

/// A client's connection, or its first datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub protocol: Protocol,
    /// In the guest; not 0.
    pub port: u16,
    /// As the host says.
    pub client: SocketAddr,
    /// Where the client has connected to on the host.
    pub server: SocketAddr,
}

/// A stream that begins with something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Arrival {
    #[must_use]
    pub fn encode(&self) -> [u8; ARRIVAL_BYTES] {
        let kind = match self.protocol {
            Protocol::Tcp => 1,
            Protocol::Udp => 2,
        };
        let mut bytes = [0; ARRIVAL_BYTES];
        bytes[..2].copy_from_slice(&[VERSION, kind]);
        bytes[2..4].copy_from_slice(&self.port.to_be_bytes());
        let (client, server) = bytes[4..].split_at_mut(ENDPOINT_BYTES);
        write_endpoint(client, self.client);
        write_endpoint(server, self.server);
        bytes
    }

    /// # Errors
    /// When the bytes are not what [`Self::encode`] makes.
    pub fn decode(bytes: &[u8; ARRIVAL_BYTES]) -> Result<Self, Malformed> {
        let [version, kind, port_high, port_low, endpoints @ ..] = *bytes;
        let protocol = match (version, kind) {
            (VERSION, 1) => Protocol::Tcp,
            (VERSION, 2) => Protocol::Udp,
            _ => return Err(Malformed),
        };
        let port = u16::from_be_bytes([port_high, port_low]);
        if port == 0 {
            return Err(Malformed);
        }
        let (client, server) = endpoints.split_at(ENDPOINT_BYTES);
        Ok(Self {
            protocol,
            port,
            client: read_endpoint(client)?,
            server: read_endpoint(server)?,
        })
    }
}

fn write_endpoint(to: &mut [u8], endpoint: SocketAddr) {
    let address = match endpoint.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    to[..16].copy_from_slice(&address.octets());
    to[16..].copy_from_slice(&endpoint.port().to_be_bytes());
}

fn read_endpoint(bytes: &[u8]) -> Result<SocketAddr, Malformed> {
    let (address, port) = bytes.split_first_chunk::<16>().ok_or(Malformed)?;
    let port = port.first_chunk::<2>().ok_or(Malformed)?;
    let address = Ipv6Addr::from(*address).to_canonical();
    Ok(SocketAddr::new(address, u16::from_be_bytes(*port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arrival() -> Arrival {
        Arrival {
            protocol: Protocol::Tcp,
            port: 80,
            client: "192.0.2.1:50000".parse().unwrap(),
            server: "[2001:db8::1]:8080".parse().unwrap(),
        }
    }

    #[test]
    fn an_arrival_is_these_bytes() {
        let expected = [
            &b"\x01\x01\x00\x50"[..],
            b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01\xc3\x50",
            b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1f\x90",
        ]
        .concat();
        assert_eq!(arrival().encode(), expected[..]);
    }

    #[test]
    fn refuses_what_is_not_an_arrival() {
        for (index, byte) in [(0, 2), (1, 0), (1, 3), (3, 0)] {
            let mut bytes = arrival().encode();
            bytes[index] = byte;
            assert_eq!(Arrival::decode(&bytes), Err(Malformed), "{index}");
        }
    }

    proptest! {
        #[test]
        fn bytes_that_are_an_arrival_are_one_in_one_way_only(mut bytes in any::<[u8; ARRIVAL_BYTES]>(), kind in 1..3_u8) {
            bytes[0] = VERSION;
            bytes[1] = kind;
            bytes[3] |= 1;
            let arrival = Arrival::decode(&bytes).unwrap();
            prop_assert_eq!(arrival.encode(), bytes);
        }
    }
}
