//! `GET /v1/attestation`: a document of the NSM, with what the client wants in it.
#![forbid(unsafe_code)]

use crate::accept::{CBOR, JSON, choose};
use crate::desk::Desk;
use crate::nsm::{Fields, MAX_FIELD_BYTES, document_of};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::{self, Reply};
use hyper::HeaderMap;
use serde_json::json;

pub const PARAMETERS: &[&str] = &["nonce", "user_data", "public_key"];

pub async fn answer(query: &Query, headers: &HeaderMap, desk: &Desk) -> Result<Reply, Problem> {
    let kind = choose(headers, &[JSON, CBOR])?;
    let fields = Fields {
        nonce: query.bytes("nonce", MAX_FIELD_BYTES)?,
        user_data: query.bytes("user_data", MAX_FIELD_BYTES)?,
        public_key: query.bytes("public_key", MAX_FIELD_BYTES)?,
    };
    Ok(reply_with(document(&fields, desk).await?, kind))
}

/// A document as the type that was chosen.
#[must_use]
pub fn reply_with(document: Vec<u8>, kind: &str) -> Reply {
    if kind == CBOR {
        reply::cbor(document)
    } else {
        reply::json(&json!({ "document": reply::base64(&document) }))
    }
}

/// The bytes of a new document.
///
/// # Errors
/// `ERR_API_BUSY`, `ERR_API_NSM`.
pub async fn document(fields: &Fields, desk: &Desk) -> Result<Vec<u8>, Problem> {
    let response = desk.ask(fields.to_request()).await?;
    document_of(&response).map_err(Problem::nsm)
}
