//! A request to KMS, signed for the place it is sent to.
#![forbid(unsafe_code)]

use crate::credentials::AccessKey;
use crate::endpoint::Url;
use crate::sigv4::{Scope, Signed};

pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
/// Before the operation's name in X-Amz-Target.
pub const TARGET_PREFIX: &str = "TrentService.";

/// Values of headers are checked by whoever makes this: they have no line breaks.
pub struct Outgoing<'a> {
    pub url: &'a Url,
    pub operation: &'a str,
    /// The value of X-Amz-Date.
    pub time: &'a str,
    pub scope: &'a Scope,
    pub user_agent: &'a str,
    pub body: &'a [u8],
}

impl Outgoing<'_> {
    /// The bytes of the request.
    #[must_use]
    pub fn signed(&self, key: &AccessKey) -> Vec<u8> {
        let length = self.body.len().to_string();
        let target = format!("{TARGET_PREFIX}{}", self.operation);
        let mut headers = vec![
            ("content-length", length.as_str()),
            ("content-type", CONTENT_TYPE),
            ("host", self.url.authority.as_str()),
            ("x-amz-date", self.time),
        ];
        if let Some(token) = &key.session_token {
            headers.push(("x-amz-security-token", token));
        }
        headers.push(("x-amz-target", &target));
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
