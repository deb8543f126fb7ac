//! Documents about the signer, from the NSM.
#![forbid(unsafe_code)]

use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_exit, nsm_init, nsm_process_request};
use serde_bytes::ByteBuf;

/// A document over the nonce that shows the signer's public key, DER SubjectPublicKeyInfo, when there is one.
pub fn attest(nonce: Vec<u8>, public_key: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    let device = nsm_init();
    if device < 0 {
        return Err("/dev/nsm cannot be opened".into());
    }
    let request = Request::Attestation {
        user_data: None,
        nonce: Some(ByteBuf::from(nonce)),
        public_key: public_key.map(ByteBuf::from),
    };
    let response = nsm_process_request(device, request);
    nsm_exit(device);
    match response {
        Response::Attestation { document } => Ok(document),
        Response::Error(code) => Err(format!("the NSM answered {code:?}")),
        _ => Err("the NSM answered something else".into()),
    }
}
