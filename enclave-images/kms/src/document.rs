//! Attestation documents of this enclave, from /dev/nsm: the kernel's device on AWS, the agent's or the NSM
//! card's on Cloister.
#![forbid(unsafe_code)]

use crate::failure::{Code, Failure};
use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_exit, nsm_init, nsm_process_request};
use serde_bytes::ByteBuf;

/// What shows which enclave a public key belongs to.
pub trait Attester: Send + Sync {
    /// A fresh document with this `public_key`, DER SubjectPublicKeyInfo, and this `nonce`, if there is one.
    fn attest(&self, public_key: &[u8], nonce: Option<&[u8]>) -> Result<Vec<u8>, Failure>;
}

/// The NSM; opened for the time of a request, so that it may appear late.
pub struct Nsm;

impl Attester for Nsm {
    fn attest(&self, public_key: &[u8], nonce: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        let device = nsm_init();
        if device < 0 {
            return Err(failed("/dev/nsm cannot be opened"));
        }
        let request = Request::Attestation {
            user_data: None,
            nonce: nonce.map(ByteBuf::from),
            public_key: Some(ByteBuf::from(public_key)),
        };
        let response = nsm_process_request(device, request);
        nsm_exit(device);
        match response {
            Response::Attestation { document } => Ok(document),
            Response::Error(code) => Err(failed(&format!("the NSM answered {code:?}"))),
            _ => Err(failed("the NSM answered something else")),
        }
    }
}

fn failed(message: &str) -> Failure {
    Failure::new(Code::Nsm, message)
}
