//! What is sent: whole bodies of known types, never to be cached.
#![forbid(unsafe_code)]

use crate::accept::{CBOR, JSON};
use crate::problem::Problem;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::Value;

/// The answer to one request.
pub type Reply = Response<Full<Bytes>>;

/// A JSON value and a line feed.
#[must_use]
pub fn json(value: &Value) -> Reply {
    whole(JSON, format!("{value}\n").into_bytes())
}

/// One item of CBOR.
#[must_use]
pub fn cbor(bytes: Vec<u8>) -> Reply {
    whole(CBOR, bytes)
}

/// Base64 as JSON carries it: RFC 4648 section 4, padded.
#[must_use]
pub fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

/// A refusal.
#[must_use]
pub fn refusal(problem: &Problem) -> Reply {
    let mut reply = whole(JSON, problem.to_json().into_bytes());
    *reply.status_mut() = problem.status;
    if let Some(seconds) = problem.retry_after {
        reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if problem.status == StatusCode::METHOD_NOT_ALLOWED {
        let get = HeaderValue::from_static("GET");
        reply.headers_mut().insert(ALLOW, get);
    }
    reply
}

fn whole(kind: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
