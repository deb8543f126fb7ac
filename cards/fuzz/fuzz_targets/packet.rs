//! Any bytes are a packet, whose header survives being written again, or are refused.
#![no_main]

use cloister_vsock::packet::{HEADER_BYTES, Operation, PacketError, Shutdown, parse_packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match parse_packet(bytes) {
        Ok((header, payload)) => {
            assert_eq!(payload.len(), header.len as usize);
            assert_eq!(header.encode(), bytes[..HEADER_BYTES]);
            assert_eq!(payload, &bytes[HEADER_BYTES..][..payload.len()]);
            if let Some(operation) = Operation::from_wire(header.operation) {
                assert_eq!(operation as u16, header.operation);
            }
            assert_eq!(
                Shutdown::from_wire(header.flags).to_wire(),
                header.flags & 3
            );
        }
        Err(PacketError::HeaderTruncated) => assert!(bytes.len() < HEADER_BYTES),
        Err(PacketError::PayloadTruncated) => assert!(bytes.len() >= HEADER_BYTES),
    }
});
