//! AWS Signature Version 4 in the header of `POST /` with its whole body hashed: what is signed anew, and what is
//! checked. Left out: presigned URLs, chunked bodies, SigV4A.
#![forbid(unsafe_code)]

use crate::credentials::AccessKey;
use aws_lc_rs::{constant_time, digest, hmac};
use std::fmt::Write;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kms";
const TERMINATOR: &str = "aws4_request";

/// The parts of a scope that a client chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// YYYYMMDD
    pub date: String,
    pub region: String,
}

impl Scope {
    /// The region must be one part of a host name: it becomes one.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        self.date.len() == 8
            && self.date.bytes().all(|byte| byte.is_ascii_digit())
            && (1..=32).contains(&self.region.len())
            && self.region.bytes().all(part)
    }

    fn path(&self) -> String {
        format!("{}/{}/{SERVICE}/{TERMINATOR}", self.date, self.region)
    }
}

/// An Authorization header, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization {
    pub access_key_id: String,
    pub scope: Scope,
    /// In lower case, sorted, each once.
    pub signed_headers: Vec<String>,
    signature: String,
}

/// Parses the header; the error says what is wrong with it.
pub fn parse_authorization(header: &str) -> Result<Authorization, &'static str> {
    let parameters = header
        .strip_prefix(ALGORITHM)
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or("it is not AWS4-HMAC-SHA256")?;
    let (mut credential, mut signed, mut signature) = (None, None, None);
    for parameter in parameters.split(',') {
        let (name, value) = parameter
            .trim()
            .split_once('=')
            .ok_or("a parameter has no value")?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed,
            "Signature" => &mut signature,
            _ => return Err("it has an unknown parameter"),
        };
        if place.replace(value).is_some() {
            return Err("a parameter is there twice");
        }
    }
    let (access_key_id, scope) = parse_credential(credential.ok_or("Credential is missing")?)?;
    let signed_headers: Vec<String> = signed
        .ok_or("SignedHeaders is missing")?
        .split(';')
        .map(Into::into)
        .collect();
    if !signed_headers.is_sorted_by(|one, next| one < next) {
        return Err("SignedHeaders is not sorted");
    }
    Ok(Authorization {
        access_key_id,
        scope,
        signed_headers,
        signature: signature.ok_or("Signature is missing")?.into(),
    })
}

fn parse_credential(text: &str) -> Result<(String, Scope), &'static str> {
    let mut parts = text.split('/');
    let (Some(id), Some(date), Some(region), Some(SERVICE), Some(TERMINATOR), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err("Credential is not <key>/<date>/<region>/kms/aws4_request");
    };
    let scope = Scope {
        date: date.into(),
        region: region.into(),
    };
    if !scope.is_valid() {
        return Err("Credential has an invalid date or region");
    }
    Ok((id.into(), scope))
}

/// What a signature covers.
pub struct Signed<'a> {
    /// Names in lower case, sorted, with their values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The value of X-Amz-Date.
    pub time: &'a str,
    pub scope: &'a Scope,
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// The Authorization header of this request.
    #[must_use]
    pub fn authorization(&self, key: &AccessKey) -> String {
        format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
            key.id,
            self.scope.path(),
            self.names(),
            self.signature(key)
        )
    }

    /// Whether this key has signed the request.
    #[must_use]
    pub fn is_signed(&self, authorization: &Authorization, key: &AccessKey) -> bool {
        let expected = self.signature(key);
        let given = authorization.signature.as_bytes();
        constant_time::verify_slices_are_equal(expected.as_bytes(), given).is_ok()
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }

    fn signature(&self, key: &AccessKey) -> String {
        let mut canonical = String::from("POST\n/\n\n");
        for (name, value) in self.headers {
            let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
            canonical += &format!("{name}:{}\n", words.join(" "));
        }
        canonical += &format!("\n{}\n{}", self.names(), sha256_hex(self.body));
        let text = format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            self.time,
            self.scope.path(),
            sha256_hex(canonical.as_bytes())
        );
        let secret = [b"AWS4", key.secret.as_bytes()].concat();
        let parts = [&self.scope.date, &self.scope.region, SERVICE, TERMINATOR];
        let signing_key = parts
            .iter()
            .fold(zeroize::Zeroizing::new(secret), |key, part| {
                zeroize::Zeroizing::new(hmac_sha256(&key, part.as_bytes()))
            });
        hex(&hmac_sha256(&signing_key, text.as_bytes()))
    }
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
        .as_ref()
        .to_vec()
}

/// In lower case.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
