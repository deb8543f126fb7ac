//! Responses that Cloister's broker signs, where the parent between cannot be trusted. A request asks with a nonce; the
//! signature (ECDSA on P-384 with SHA-384) covers the nonce, the request and the response. See docs/kms.md.
#![forbid(unsafe_code)]

use crate::cms::Form;
use crate::credentials::AccessKey;
use crate::endpoint::Route;
use crate::failure::{Code, Failure};
use crate::http::Response;
use crate::outgoing::Outgoing;
use aws_lc_rs::digest::{SHA384, digest};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const FORM: &str = "CLOISTER-KMS-RESPONSE-V1";
const NONCE: &str = "x-cloister-response-nonce";
const SIGNATURE: &str = "x-cloister-response-signature";
const CONTENT: (&str, &str) = ("x-cloister-recipient-content", "AES_256_GCM");
const NONCE_BYTES: usize = 32;
const MAX_PEM_BYTES: u64 = 64 * 1024;

/// The broker's public key, which the enclave has from its own image.
pub struct ResponseKey(ParsedPublicKey);

impl ResponseKey {
    /// Reads the PEM of a SubjectPublicKeyInfo from a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed =
            |reason: String| Failure::new(Code::Argument, format!("{}: {reason}", path.display()));
        let mut pem = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_PEM_BYTES).read_to_end(&mut pem))
            .map_err(|error| failed(error.to_string()))?;
        Self::from_pem(&pem).map_err(|failure| failed(failure.message))
    }

    pub fn from_pem(pem: &[u8]) -> Result<Self, Failure> {
        let wrong = || Failure::new(Code::Argument, "it is not the PEM of a public key on P-384");
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| wrong())?;
        ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, spki.as_ref())
            .map(Self)
            .map_err(|_| wrong())
    }

    fn check(&self, request: &Outgoing, nonce: &str, response: &Response) -> Result<(), Failure> {
        let Some(text) = response.headers.get(SIGNATURE) else {
            let status = response.status;
            let message = format!(
                "the response (status {status}) is not signed: not the broker's, or the broker does not know the access key"
            );
            return Err(Failure::new(Code::Signature, message));
        };
        let signature = STANDARD.decode(text).unwrap_or_default();
        let signed = signed_text(request, nonce, response);
        self.0
            .verify_sig(signed.as_bytes(), &signature)
            .map_err(|_| {
                let message = "the signature is not of this response to this request";
                Failure::new(Code::Signature, message)
            })
    }
}

impl Route {
    /// Sends a request. Where a key is pinned, the response is one that the broker has signed for it.
    pub fn send(&self, request: &Outgoing, key: &AccessKey) -> Result<Response, Failure> {
        let Some(pinned) = &self.response_key else {
            return self.exchange(request.url, &request.signed(key, &[]));
        };
        let nonce = new_nonce()?;
        let asked = [CONTENT, (NONCE, nonce.as_str())];
        let asked = if request.is_attested {
            &asked[..]
        } else {
            &asked[1..]
        };
        let response = self.exchange(request.url, &request.signed(key, asked))?;
        pinned.check(request, &nonce, &response)?;
        Ok(response)
    }

    /// What `CiphertextForRecipient` in a response to this crate's own documents is.
    #[must_use]
    pub fn form(&self) -> Form {
        match self.response_key {
            None => Form::Enveloped,
            Some(_) => Form::AuthEnveloped,
        }
    }
}

/// Eight lines: the request's nonce, target and body; the response's status, date, id and body.
fn signed_text(request: &Outgoing, nonce: &str, response: &Response) -> String {
    let header = |name: &str| response.headers.get(name).unwrap_or_default().to_string();
    let lines = [
        FORM.into(),
        nonce.into(),
        request.target.into(),
        sha384(request.body),
        response.status.to_string(),
        header("date"),
        header("x-amzn-requestid"),
        sha384(&response.body),
    ];
    lines.map(|line| line + "\n").concat()
}

fn sha384(bytes: &[u8]) -> String {
    hex(digest(&SHA384, bytes).as_ref())
}

fn new_nonce() -> Result<String, Failure> {
    let mut nonce = [0; NONCE_BYTES];
    rand::fill(&mut nonce)
        .map_err(|_| Failure::new(Code::Internal, "there are no random bytes"))?;
    Ok(hex(&nonce))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
