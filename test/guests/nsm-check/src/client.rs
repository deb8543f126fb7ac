//! The seven requests, through AWS's crate as published.
#![forbid(unsafe_code)]

use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_init, nsm_process_request};
use serde_bytes::ByteBuf;
use std::sync::OnceLock;

/// Sends a request over one descriptor that all threads share.
pub fn ask(request: Request) -> Response {
    static DESCRIPTOR: OnceLock<i32> = OnceLock::new();
    nsm_process_request(*DESCRIPTOR.get_or_init(nsm_init), request)
}

/// Whether PCR `index` is locked, and its value.
pub fn describe(index: u16) -> Result<(bool, Vec<u8>), String> {
    match ask(Request::DescribePCR { index }) {
        Response::DescribePCR { lock, data } => Ok((lock, data)),
        other => Err(format!("DescribePCR {index}: {other:?}")),
    }
}

/// The new value, or the NSM's error.
pub fn extend(index: u16, data: &[u8]) -> Result<Vec<u8>, String> {
    let data = data.to_vec();
    match ask(Request::ExtendPCR { index, data }) {
        Response::ExtendPCR { data } => Ok(data),
        Response::Error(code) => Err(format!("{code:?}")),
        other => Err(format!("ExtendPCR {index}: {other:?}")),
    }
}

/// A document with fields of these lengths, or the NSM's error.
pub fn attest(user_data: usize, nonce: usize, public_key: usize) -> Result<Vec<u8>, String> {
    let field = |length: usize| (length > 0).then(|| ByteBuf::from(vec![0x80; length]));
    let request = Request::Attestation {
        user_data: field(user_data),
        nonce: field(nonce),
        public_key: field(public_key),
    };
    match ask(request) {
        Response::Attestation { document } => Ok(document),
        Response::Error(code) => Err(format!("{code:?}")),
        other => Err(format!("Attestation: {other:?}")),
    }
}

/// `Ok` when the response is this error, by its name: the crate's type cannot be compared.
pub fn refused(response: Response, expected: &str) -> Result<(), String> {
    match response {
        Response::Error(code) if format!("{code:?}") == expected => Ok(()),
        other => Err(format!("{other:?} instead of {expected}")),
    }
}
