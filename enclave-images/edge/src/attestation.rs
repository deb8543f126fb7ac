//! `GET /.well-known/attestation?nonce=HEX`: a document whose `user_data` is the SHA-256 of the connection's
//! key, and whose nonce is the client's. With `binding=tls-exporter` the nonce is
//! `"tls-exporter:" || exporter || client's nonce`, with the connection's own exporter (RFC 9266), which the
//! client computes too: then nobody between the two ends can pass the document on, not even with the key. No
//! client gets a document for such a nonce in another way.
#![forbid(unsafe_code)]

use crate::problem::parameter;
use cloister_guest_api::accept::{CBOR, JSON, choose};
use cloister_guest_api::attest::{document, reply_with};
use cloister_guest_api::desk::Desk;
use cloister_guest_api::nsm::Fields;
use cloister_guest_api::problem::Problem;
use cloister_guest_api::query::Query;
use cloister_guest_api::quota::Quota;
use cloister_guest_api::reply::Reply;
use hyper::{HeaderMap, Method, Request, StatusCode};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::sleep;

pub const PATH: &str = "/.well-known/attestation";
pub const EXPORTER_BYTES: usize = 32;
const MAX_NONCE_BYTES: usize = 512;
const BOUND: &[u8] = b"tls-exporter:";
/// Of all clients together: the program needs the NSM too.
const PER_SECOND: u32 = 20;
const BURST: u32 = 40;
const PAUSE: Duration = Duration::from_millis(1000 / PER_SECOND as u64);

/// What a document can be bound to.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    pub spki_sha256: [u8; 32],
    pub exporter: [u8; EXPORTER_BYTES],
}

/// Answers for all connections, in the order in which they ask.
pub struct Attestation {
    desk: Desk,
    quota: Mutex<Quota>,
}

/// What one connection asks for waits here, one after the other: however much it is, another one waits for no more than
/// one document of it.
pub type Line = Mutex<()>;

impl Attestation {
    pub fn new(desk: Desk) -> Self {
        let quota = Quota::new(PER_SECOND, BURST, Instant::now());
        Self {
            desk,
            quota: Mutex::new(quota),
        }
    }

    pub async fn answer<B>(
        &self,
        request: &Request<B>,
        channel: &Channel,
        line: &Line,
    ) -> Result<Reply, Problem> {
        if request.method() != Method::GET {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Problem {
                status,
                ..parameter(format!("{} is not allowed here", request.method()))
            });
        }
        let kind = kind_of(request.headers())?;
        let fields = fields_of(request.uri().query(), channel)?;
        let _turn = line.lock().await;
        let mut quota = self.quota.lock().await;
        while !quota.take(Instant::now()) {
            sleep(PAUSE).await;
        }
        Ok(reply_with(document(&fields, &self.desk).await?, kind))
    }
}

fn kind_of(headers: &HeaderMap) -> Result<&'static str, Problem> {
    choose(headers, &[CBOR, JSON])
}

fn fields_of(query: Option<&str>, channel: &Channel) -> Result<Fields, Problem> {
    let query = Query::parse(query, &["nonce", "binding"]);
    let query = query.map_err(|problem| parameter(problem.message))?;
    let nonce = query.get("nonce").and_then(decode_hex);
    let nonce = nonce.filter(|it| (1..=MAX_NONCE_BYTES).contains(&it.len()));
    let nonce = nonce.ok_or_else(|| {
        parameter(format!(
            "nonce must be 1 to {MAX_NONCE_BYTES} bytes in hexadecimal"
        ))
    })?;
    let nonce = match query.get("binding") {
        None | Some("key") if nonce.starts_with(BOUND) => {
            return Err(parameter(
                "nonces that begin with tls-exporter: are reserved",
            ));
        }
        None | Some("key") => nonce,
        Some("tls-exporter") => [BOUND, &channel.exporter, &nonce].concat(),
        Some(_) => return Err(parameter("binding must be key or tls-exporter")),
    };
    Ok(Fields {
        nonce: Some(nonce),
        user_data: Some(channel.spki_sha256.into()),
        public_key: None,
    })
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|it| it.try_into().ok()))
        .collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    rest.is_empty().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: Channel = Channel {
        spki_sha256: [1; 32],
        exporter: [2; EXPORTER_BYTES],
    };

    fn nonce(query: &str) -> Option<Vec<u8>> {
        let fields = fields_of(Some(query), &CHANNEL).ok()?;
        assert_eq!(fields.user_data, Some(vec![1; 32]));
        fields.nonce
    }

    #[test]
    fn a_document_answers_the_client_s_nonce() {
        assert_eq!(nonce("nonce=00fF"), Some(vec![0, 255]));
        assert_eq!(nonce("nonce=00fF&binding=key"), Some(vec![0, 255]));
        for query in [
            "",
            "nonce=",
            "nonce=0",
            "nonce=0g",
            "nonce=00&x=1",
            "nonce=00&nonce=00",
            "nonce=00&binding=",
            "nonce=00&binding=tls-unique",
        ] {
            assert_eq!(nonce(query), None, "{query}");
        }
        assert_eq!(nonce(&format!("nonce={}", "00".repeat(513))), None);
    }

    #[test]
    fn a_bound_document_has_the_connection_s_exporter_and_no_other_one_can() {
        let bound = [BOUND, &[2; 32], &[0, 255]].concat();
        assert_eq!(
            nonce("nonce=00ff&binding=tls-exporter").as_ref(),
            Some(&bound)
        );
        let hex: String = bound.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(nonce(&format!("nonce={hex}")), None);
        assert_eq!(nonce(&format!("nonce={hex}&binding=key")), None);
    }
}
