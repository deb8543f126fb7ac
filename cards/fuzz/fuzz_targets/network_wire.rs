//! Any bytes are a request in one way only, are waited for while they still may be one, or are refused; how they
//! are cut into reads changes nothing.
#![no_main]

use cloister_egress_policy::wire::{MAX_REQUEST_BYTES, Request, frame, split_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = Request::decode(bytes);
    match &whole {
        Ok(Some((request, length))) => assert_eq!(request.encode(), &bytes[..*length]),
        Ok(None) => assert!(bytes.len() < MAX_REQUEST_BYTES),
        Err(_) => {}
    }
    for cut in 0..bytes.len().min(MAX_REQUEST_BYTES) {
        let early = Request::decode(&bytes[..cut]);
        assert!(early == Ok(None) || early == whole);
    }
    if let Some((message, length)) = split_frame(bytes) {
        assert_eq!(frame(message).as_deref(), Some(&bytes[..length]));
    }
});
