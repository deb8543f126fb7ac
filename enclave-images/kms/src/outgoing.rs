//! A request to KMS, signed for the place it is sent to.
#![forbid(unsafe_code)]

use crate::credentials::AccessKey;
use crate::endpoint::Url;
use crate::sigv4::{Scope, Signed};

pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
/// Before the operation's name in X-Amz-Target, of AWS's operations and of Cloister's.
pub const TARGET_PREFIX: &str = "TrentService.";
pub const CREATE_NONCE: &str = "CloisterService.CreateNonce";

/// Values of headers are checked by whoever makes this: they have no line breaks.
pub struct Outgoing<'a> {
    pub url: &'a Url,
    /// The value of X-Amz-Target.
    pub target: &'a str,
    /// The value of X-Amz-Date.
    pub time: &'a str,
    pub scope: &'a Scope,
    pub user_agent: &'a str,
    pub body: &'a [u8],
    /// Whether the response will be opened by this crate.
    pub is_attested: bool,
}

impl Outgoing<'_> {
    /// The bytes of the request, with more headers, whose names come after x-amz-target.
    #[must_use]
    pub fn signed(&self, key: &AccessKey, more: &[(&str, &str)]) -> Vec<u8> {
        let length = self.body.len().to_string();
        let mut headers = vec![
            ("content-length", length.as_str()),
            ("content-type", CONTENT_TYPE),
            ("host", self.url.authority.as_str()),
            ("x-amz-date", self.time),
        ];
        if let Some(token) = &key.session_token {
            headers.push(("x-amz-security-token", token));
        }
        headers.push(("x-amz-target", self.target));
        headers.extend_from_slice(more);
        let signed = Signed {
            headers: &headers,
            time: self.time,
            scope: self.scope,
            body: self.body,
        };
        let authorization = signed.authorization(key);
        headers.push(("authorization", &authorization));
        headers.push(("user-agent", self.user_agent));
        headers.push(("connection", "close"));
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        [b"POST / HTTP/1.1\r\n", lines.as_bytes(), b"\r\n", self.body].concat()
    }
}
