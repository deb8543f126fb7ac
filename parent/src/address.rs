//! vsock addresses: `struct sockaddr_vm` of linux/vm_sockets.h, 16 bytes in the machine's order.

use std::ops::Range;

pub const AF_VSOCK: u16 = libc::AF_VSOCK as u16;
pub const ADDRESS_BYTES: usize = size_of::<libc::sockaddr_vm>();

/// Linux's `VMADDR_CID_ANY` and `VMADDR_PORT_ANY`.
pub const ANY: u32 = u32::MAX;
pub const CID_LOCAL: u32 = 1;
pub const CID_HOST: u32 = 2;
/// The parent of an enclave, as on AWS.
pub const CID_PARENT: u32 = 3;

const FAMILY: Range<usize> = 0..2;
const PORT: Range<usize> = 4..8;
const CID: Range<usize> = 8..12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub cid: u32,
    pub port: u32,
}

impl Address {
    pub const UNBOUND: Self = Self {
        cid: ANY,
        port: ANY,
    };

    /// `None` for another family, or for fewer than 16 bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ADDRESS_BYTES] = bytes.first_chunk()?;
        if bytes[FAMILY] != AF_VSOCK.to_ne_bytes() {
            return None;
        }
        Some(Self {
            cid: u32::from_ne_bytes(bytes[CID].try_into().ok()?),
            port: u32::from_ne_bytes(bytes[PORT].try_into().ok()?),
        })
    }

    #[must_use]
    pub fn encode(self) -> [u8; ADDRESS_BYTES] {
        let mut bytes = [0; ADDRESS_BYTES];
        bytes[FAMILY].copy_from_slice(&AF_VSOCK.to_ne_bytes());
        bytes[PORT].copy_from_slice(&self.port.to_ne_bytes());
        bytes[CID].copy_from_slice(&self.cid.to_ne_bytes());
        bytes
    }
}

/// Who dialled a port of the parent, as the vsock card names its end of the stream:
/// `vsock:<guest CID>:<guest port>:<parent CID>:<parent port>` in the abstract namespace.
#[must_use]
pub fn parse_card_name(name: &[u8]) -> Option<Address> {
    let mut numbers = std::str::from_utf8(name)
        .ok()?
        .strip_prefix("vsock:")?
        .split(':')
        .map(|number| number.parse::<u32>().ok());
    let address = Address {
        cid: numbers.next()??,
        port: numbers.next()??,
    };
    (numbers.count() == 2).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decodes_what_it_encodes(cid: u32, port: u32) {
            let address = Address { cid, port };
            prop_assert_eq!(Address::decode(&address.encode()), Some(address));
        }

        #[test]
        fn any_bytes_are_an_address_or_not(bytes: Vec<u8>) {
            let is_vsock = bytes.len() >= ADDRESS_BYTES && bytes[..2] == AF_VSOCK.to_ne_bytes();
            prop_assert_eq!(Address::decode(&bytes).is_some(), is_vsock);
            let _ = parse_card_name(&bytes);
        }
    }

    #[test]
    fn reads_the_name_of_a_cards_end() {
        let address = Address {
            cid: 16,
            port: 1234,
        };
        assert_eq!(parse_card_name(b"vsock:16:1234:3:8000"), Some(address));
        for bad in [
            &b"vsock:16:1234"[..],
            b"vsock:x:1:2:3",
            b"16:1234:3:8000",
            b"",
        ] {
            assert_eq!(parse_card_name(bad), None);
        }
    }
}
