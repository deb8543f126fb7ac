//! The virtio-vsock packet: a 44-byte little-endian header and its payload (virtio 1.2 section
//! 5.10.6). Parsing is a pure function over bytes that were copied out of guest memory once.

/// Bytes of a header on the wire.
pub const HEADER_BYTES: usize = 44;
/// The longest payload accepted: no credit window is larger, so an honest driver never sends more.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// `VIRTIO_VSOCK_TYPE_STREAM`, the only socket type offered (no `VIRTIO_VSOCK_F_SEQPACKET`).
pub const TYPE_STREAM: u16 = 1;

/// What a packet asks for (`VIRTIO_VSOCK_OP_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Operation {
    Request = 1,
    Response = 2,
    Reset = 3,
    Shutdown = 4,
    ReadWrite = 5,
    CreditUpdate = 6,
    CreditRequest = 7,
}

impl Operation {
    /// The operation of a number on the wire, if the number has one.
    #[must_use]
    pub fn from_wire(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::ReadWrite,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            _ => return None,
        })
    }
}

/// Which directions a peer has closed (`VIRTIO_VSOCK_SHUTDOWN_*`, the flags of `SHUTDOWN`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// The peer will not receive any more.
    pub receive: bool,
    /// The peer will not send any more.
    pub send: bool,
}

impl Shutdown {
    pub const BOTH: Self = Self {
        receive: true,
        send: true,
    };

    #[must_use]
    pub fn from_wire(flags: u32) -> Self {
        Self {
            receive: flags & 1 != 0,
            send: flags & 2 != 0,
        }
    }

    #[must_use]
    pub fn to_wire(self) -> u32 {
        u32::from(self.receive) | u32::from(self.send) << 1
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            receive: self.receive || other.receive,
            send: self.send || other.send,
        }
    }
}

/// `struct virtio_vsock_hdr`; `kind` is its `type`, `operation` its `op`, both as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub src_cid: u64,
    pub dst_cid: u64,
    pub src_port: u32,
    pub dst_port: u32,
    pub len: u32,
    pub kind: u16,
    pub operation: u16,
    pub flags: u32,
    pub buf_alloc: u32,
    pub fwd_cnt: u32,
}

/// Why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// Fewer bytes than a header.
    HeaderTruncated,
    /// The header announces more payload than the driver supplied or the card accepts.
    PayloadTruncated,
}

impl Header {
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&self.src_cid.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.dst_cid.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.src_port.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.dst_port.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.len.to_le_bytes());
        bytes[28..30].copy_from_slice(&self.kind.to_le_bytes());
        bytes[30..32].copy_from_slice(&self.operation.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.flags.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.buf_alloc.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.fwd_cnt.to_le_bytes());
        bytes
    }

    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        Self {
            src_cid: u64::from_le_bytes(field(bytes, 0)),
            dst_cid: u64::from_le_bytes(field(bytes, 8)),
            src_port: u32::from_le_bytes(field(bytes, 16)),
            dst_port: u32::from_le_bytes(field(bytes, 20)),
            len: u32::from_le_bytes(field(bytes, 24)),
            kind: u16::from_le_bytes(field(bytes, 28)),
            operation: u16::from_le_bytes(field(bytes, 30)),
            flags: u32::from_le_bytes(field(bytes, 32)),
            buf_alloc: u32::from_le_bytes(field(bytes, 36)),
            fwd_cnt: u32::from_le_bytes(field(bytes, 40)),
        }
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

/// The header and the payload of a whole packet. Bytes after the announced payload are ignored, as
/// a driver may supply a longer buffer.
///
/// # Errors
/// When the bytes are shorter than a header, or than the payload that it announces.
pub fn parse_packet(bytes: &[u8]) -> Result<(Header, &[u8]), PacketError> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(PacketError::HeaderTruncated)?;
    let header = Header::decode(header);
    let payload = usize::try_from(header.len)
        .ok()
        .and_then(|len| rest.get(..len))
        .ok_or(PacketError::PayloadTruncated)?;
    Ok((header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_header_survives_the_wire(bytes: [[u8; 4]; 11]) {
            let wire: [u8; HEADER_BYTES] = std::array::from_fn(|i| bytes[i / 4][i % 4]);
            prop_assert_eq!(Header::decode(&wire).encode(), wire);
        }

        #[test]
        fn any_bytes_parse_to_their_payload_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            match parse_packet(&bytes) {
                Ok((header, payload)) => prop_assert_eq!(payload.len(), header.len as usize),
                Err(PacketError::HeaderTruncated) => prop_assert!(bytes.len() < HEADER_BYTES),
                Err(PacketError::PayloadTruncated) => prop_assert!(bytes.len() >= HEADER_BYTES),
            }
        }
    }

    #[test]
    fn a_payload_longer_than_the_buffer_is_refused() {
        let header = Header {
            len: u32::MAX,
            ..Header::default()
        };
        assert_eq!(
            parse_packet(&header.encode()),
            Err(PacketError::PayloadTruncated)
        );
    }

    #[test]
    fn surplus_bytes_after_the_payload_are_ignored() {
        let mut bytes = Header {
            len: 2,
            ..Header::default()
        }
        .encode()
        .to_vec();
        bytes.extend_from_slice(b"abc");
        assert_eq!(parse_packet(&bytes).unwrap().1, b"ab");
    }
}
