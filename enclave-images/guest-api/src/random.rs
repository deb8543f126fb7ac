//! `GET /v1/random`: bytes from the NSM's generator.
#![forbid(unsafe_code)]

use crate::accept::{JSON, choose};
use crate::desk::Desk;
use crate::nsm::{GET_RANDOM, random_of};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::{self, Reply};
use hyper::HeaderMap;
use serde_json::json;

pub const PARAMETERS: &[&str] = &["bytes"];
const DEFAULT_BYTES: usize = 32;
/// Four answers of the NSM. Who needs more has the kernel's generator, which the NSM has seeded.
const MAX_BYTES: usize = 1024;

pub async fn answer(query: &Query, headers: &HeaderMap, desk: &Desk) -> Result<Reply, Problem> {
    choose(headers, &[JSON])?;
    let wanted = query.number("bytes", 1..=MAX_BYTES)?;
    let wanted = wanted.unwrap_or(DEFAULT_BYTES);
    let mut bytes = Vec::new();
    while bytes.len() < wanted {
        let response = desk.ask(GET_RANDOM.to_vec()).await?;
        let more = random_of(&response).map_err(Problem::nsm)?;
        if more.is_empty() {
            return Err(Problem::nsm("the NSM gave no random bytes"));
        }
        bytes.extend(more);
    }
    bytes.truncate(wanted);
    Ok(reply::json(&json!({ "random": reply::base64(&bytes) })))
}
