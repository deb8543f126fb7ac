//! Any bytes that a host may send to the guest's ingress process: an arrival in one way only, or malformed; its header
//! of the PROXY protocol has the length that it says.
#![no_main]

use cloister_ingress_wire::{ARRIVAL_BYTES, Arrival, proxy_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: [u8; ARRIVAL_BYTES]| {
    if let Ok(arrival) = Arrival::decode(&bytes) {
        assert_eq!(arrival.encode(), bytes);
        let header = proxy_header(&arrival);
        let length = u16::from_be_bytes([header[14], header[15]]);
        assert_eq!(header.len(), 16 + usize::from(length));
    }
});
