//! The NSM, through AWS's crate.
#![forbid(unsafe_code)]

use crate::protocol::AttestationRequest;
use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_init, nsm_process_request};
use serde_bytes::ByteBuf;
use std::io::{self, ErrorKind};

/// The open device; any number of threads may use it.
pub struct SecurityModule {
    descriptor: i32,
}

impl SecurityModule {
    /// Opens /dev/nsm for the life of the process.
    pub fn open() -> io::Result<Self> {
        match nsm_init() {
            descriptor if descriptor < 0 => Err(io::Error::new(
                ErrorKind::NotFound,
                "/dev/nsm cannot be opened",
            )),
            descriptor => Ok(Self { descriptor }),
        }
    }

    /// The COSE_Sign1 bytes of a document, or why there is none.
    pub fn attest(&self, request: AttestationRequest) -> Result<Vec<u8>, String> {
        let request = Request::Attestation {
            user_data: request.user_data.map(ByteBuf::from),
            nonce: request.nonce.map(ByteBuf::from),
            public_key: request.public_key.map(ByteBuf::from),
        };
        match nsm_process_request(self.descriptor, request) {
            Response::Attestation { document } => Ok(document),
            Response::Error(code) => Err(format!("the NSM answered {code:?}")),
            _ => Err("the NSM answered something else".into()),
        }
    }
}
