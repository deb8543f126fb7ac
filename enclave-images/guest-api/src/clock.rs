//! `GET /v1/time`: the guest's clock, and the NSM's as a document has it. Neither is proof of anything in
//! here (docs/time.md).
#![forbid(unsafe_code)]

use crate::accept::{JSON, choose};
use crate::attest::document;
use crate::desk::Desk;
use crate::nsm::{Fields, timestamp_of};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use hyper::HeaderMap;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

pub async fn answer(headers: &HeaderMap, desk: &Desk) -> Result<Reply, Problem> {
    choose(headers, &[JSON])?;
    let document = document(&Fields::default(), desk).await?;
    let nsm_unix_ms = timestamp_of(&document).map_err(Problem::nsm)?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = since_1970.map_or(0, |it| it.as_millis() as u64);
    let times = json!({ "unixMs": unix_ms, "nsmUnixMs": nsm_unix_ms });
    Ok(reply::json(&times))
}
