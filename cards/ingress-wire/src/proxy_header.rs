//! The header of the PROXY protocol, version 2 (HAProxy's `proxy-protocol.txt`, section 2.2), that goes in front of a
//! program's stream. Only the command PROXY over TCP, without TLVs.

use std::net::{IpAddr, Ipv6Addr};

use crate::Arrival;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const VERSION_AND_COMMAND: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header for a TCP connection.
#[must_use]
pub fn proxy_header(arrival: &Arrival) -> Vec<u8> {
    let (client, server) = (arrival.client, arrival.server);
    let (family, addresses) = match (client.ip(), server.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (TCP_OVER_IPV4, [from.octets(), to.octets()].concat())
        }
        (from, to) => {
            let addresses = [from, to].map(|it| mapped(it).octets());
            (TCP_OVER_IPV6, addresses.concat())
        }
    };
    let ports = [client.port(), server.port()].map(u16::to_be_bytes);
    let block = [addresses, ports.concat()].concat();
    let length = (block.len() as u16).to_be_bytes(); // 12 or 36
    let head = [&SIGNATURE[..], &[VERSION_AND_COMMAND, family], &length];
    [head.concat(), block].concat()
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_egress_policy::Protocol;

    fn header(client: &str, server: &str) -> Vec<u8> {
        proxy_header(&Arrival {
            protocol: Protocol::Tcp,
            port: 80,
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
        })
    }

    #[test]
    fn of_ipv4() {
        let expected = [
            &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"[..],
            &[192, 0, 2, 1, 198, 51, 100, 7],
            b"\xc3\x50\x00\x50",
        ];
        assert_eq!(
            header("192.0.2.1:50000", "198.51.100.7:80"),
            expected.concat()
        );
    }

    #[test]
    fn of_ipv6_and_of_both() {
        let header = header("192.0.2.1:1", "[2001:db8::1]:2");
        assert_eq!(header[12..16], *b"\x21\x21\x00\x24");
        assert_eq!(
            header[16..32],
            *b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01"
        );
        assert_eq!(header.len(), 16 + 36);
    }
}
