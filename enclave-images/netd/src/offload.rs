//! The `virtio_net_hdr` in front of each packet on the TUN device (linux/virtio_net.h): neither side
//! computes the checksum of a TCP or UDP packet that never leaves the machine.

use crate::packet::{Header, TCP, UDP};

/// Bytes of the header, which both sides write in the machine's byte order.
pub const HEADER_BYTES: usize = 10;
const NEEDS_CHECKSUM: u8 = 1;
const TCP_CHECKSUM_OFFSET: usize = 16;
const UDP_CHECKSUM_OFFSET: usize = 6;

/// The header for `packet`. A TCP or UDP packet gets the checksum of its pseudo-header, which the
/// kernel completes if it ever has to; of another packet the checksum must be there.
pub fn prepare(packet: &mut [u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let Some(ip) = Header::parse(packet) else {
        return header;
    };
    let offset = match ip.protocol {
        TCP => TCP_CHECKSUM_OFFSET,
        UDP => UDP_CHECKSUM_OFFSET,
        _ => return header,
    };
    let field = ip.payload.start + offset;
    let sum = pseudo_header_sum(&ip);
    let Some(checksum) = packet.get_mut(field..field + 2) else {
        return header;
    };
    checksum.copy_from_slice(&sum.to_be_bytes());
    let numbers = [field + 2, 0, ip.payload.start, offset];
    header[0] = NEEDS_CHECKSUM;
    for (bytes, number) in header[2..].chunks_exact_mut(2).zip(numbers) {
        bytes.copy_from_slice(&(number as u16).to_ne_bytes());
    }
    header
}

/// The sum of addresses, protocol and length (RFC 9293 section 3.1, RFC 8200 section 8.1), not
/// complemented.
fn pseudo_header_sum(ip: &Header) -> u16 {
    let mut sum = Sum::default();
    sum.add_address(ip.source);
    sum.add_address(ip.destination);
    sum.add(&[0, ip.protocol]);
    sum.add(&(ip.payload.len() as u32).to_be_bytes());
    sum.fold()
}

/// The Internet checksum (RFC 1071) as it is summed up.
#[derive(Default)]
pub struct Sum(u64);

impl Sum {
    pub fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            self.0 += u64::from(u16::from_be_bytes([pair[0], low]));
        }
    }

    pub fn add_address(&mut self, address: std::net::IpAddr) {
        match address {
            std::net::IpAddr::V4(address) => self.add(&address.octets()),
            std::net::IpAddr::V6(address) => self.add(&address.octets()),
        }
    }

    pub fn fold(mut self) -> u16 {
        while self.0 > 0xffff {
            self.0 = (self.0 & 0xffff) + (self.0 >> 16);
        }
        self.0 as u16
    }
}
