//! Which access key has signed a program's request to the proxy. Whoever can reach the loopback can use the proxy,
//! but only as a principal whose secret it knows.
#![forbid(unsafe_code)]

use super::answer::Refusal;
use crate::credentials::{AccessKey, Credentials};
use crate::http::Request;
use crate::sigv4::{Scope, Signed, parse_authorization, sha256_hex};

const MUST_BE_SIGNED: [&str; 3] = ["host", "x-amz-date", "x-amz-target"];

pub struct Caller {
    pub key: AccessKey,
    pub scope: Scope,
    /// X-Amz-Date, which is kept: SDKs correct their clock by the answers of KMS.
    pub time: String,
}

/// Checks, in order: the header's form; which headers are signed; the body's hash; the time's form; the key;
/// the signature; the session token. The clock is KMS's to check.
pub fn authenticate(request: &Request, credentials: &Credentials) -> Result<Caller, Refusal> {
    let header = request.headers.get("authorization").ok_or_else(|| {
        Refusal::new(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )
    })?;
    let authorization = parse_authorization(header)
        .map_err(|reason| incomplete(&format!("Authorization: {reason}")))?;
    let headers = signed_headers(request, &authorization.signed_headers)?;
    let claimed = request.headers.get("x-amz-content-sha256");
    if claimed.is_some_and(|hash| hash != sha256_hex(&request.body)) {
        return Err(rejected(
            "x-amz-content-sha256 is not the hash of the body.",
        ));
    }
    let time = request.headers.get("x-amz-date").unwrap_or_default();
    check_time(time, &authorization.scope.date)?;
    let unknown = || {
        let message = "The security token included in the request is invalid.";
        Refusal::new("UnrecognizedClientException", message)
    };
    let key = credentials
        .find(&authorization.access_key_id)?
        .ok_or_else(unknown)?;
    let signed = Signed {
        headers: &headers,
        time,
        scope: &authorization.scope,
        body: &request.body,
    };
    if !signed.is_signed(&authorization, &key) {
        return Err(rejected(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
        ));
    }
    let token = key.session_token.as_ref().map(|token| token.as_str());
    if token != request.headers.get("x-amz-security-token") {
        return Err(unknown());
    }
    Ok(Caller {
        key,
        time: time.into(),
        scope: authorization.scope,
    })
}

/// Names and values in the order of the signature.
fn signed_headers<'a>(
    request: &'a Request,
    names: &'a [String],
) -> Result<Vec<(&'a str, &'a str)>, Refusal> {
    let counting = request
        .headers
        .names()
        .filter(|name| name.starts_with("x-amz-"));
    for name in MUST_BE_SIGNED.into_iter().chain(counting) {
        if !names.iter().any(|signed| signed == name) {
            return Err(incomplete(&format!("the header {name} is not signed")));
        }
    }
    names
        .iter()
        .map(|name| match request.headers.get(name) {
            Some(value) => Ok((name.as_str(), value)),
            None => Err(incomplete(&format!("the signed header {name} is missing"))),
        })
        .collect()
}

/// YYYYMMDDTHHMMSSZ on the scope's day.
fn check_time(time: &str, date: &str) -> Result<(), Refusal> {
    let is_digit = |at: usize| time.as_bytes()[at].is_ascii_digit();
    let is_right = time.len() == 16
        && time.is_ascii()
        && (0..8).chain(9..15).all(is_digit)
        && time.as_bytes()[8] == b'T'
        && time.ends_with('Z');
    if !is_right {
        return Err(incomplete("x-amz-date is not YYYYMMDDTHHMMSSZ"));
    }
    if !time.starts_with(date) {
        return Err(rejected(
            "Date in Credential scope does not match x-amz-date.",
        ));
    }
    Ok(())
}

fn incomplete(message: &str) -> Refusal {
    Refusal::new("IncompleteSignatureException", message)
}

fn rejected(message: &str) -> Refusal {
    Refusal::new("InvalidSignatureException", message)
}
