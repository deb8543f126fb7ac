//! The paths, and who may ask. A program that fetches addresses which strangers give it must not fetch a
//! document for them: on the loopback, a header is required that no such fetch sends.
#![forbid(unsafe_code)]

use crate::desk::Desk;
use crate::problem::{self, Problem};
use crate::query::Query;
use crate::quota::Quota;
use crate::reply::{Reply, refusal};
use crate::{attest, clock, configuration, random};
use hyper::{Method, Request, StatusCode};
use std::cell::RefCell;
use std::time::Instant;

const PER_SECOND: u32 = 100;
const BURST: u32 = 200;
const HEADER: &str = "cloister-api";
const HEADER_VALUE: &str = "1";

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Loopback,
    Socket,
}

/// Answers requests, those of all connections together no faster than the quota.
pub struct Routes {
    desk: Desk,
    quota: RefCell<Quota>,
}

impl Routes {
    pub fn new(desk: Desk) -> Self {
        let quota = Quota::new(PER_SECOND, BURST, Instant::now());
        Self {
            desk,
            quota: RefCell::new(quota),
        }
    }

    /// Answers one request. Its body is not read.
    pub async fn answer<B>(&self, request: &Request<B>, way: Way) -> Reply {
        self.try_answer(request, way)
            .await
            .unwrap_or_else(|problem| refusal(&problem))
    }

    async fn try_answer<B>(&self, request: &Request<B>, way: Way) -> Result<Reply, Problem> {
        if !self.quota.borrow_mut().take(Instant::now()) {
            return Err(Problem::busy(format!(
                "more than {PER_SECOND} requests per second"
            )));
        }
        check_header(request, way)?;
        let path = Path::of(request.uri().path())?;
        if request.method() != Method::GET {
            let message = format!("{} is not allowed here", request.method());
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Problem::new(status, problem::PATH, message));
        }
        let query = Query::parse(request.uri().query(), path.parameters())?;
        let headers = request.headers();
        match path {
            Path::Attestation => attest::answer(&query, headers, &self.desk).await,
            Path::Random => random::answer(&query, headers, &self.desk).await,
            Path::Time => clock::answer(headers, &self.desk).await,
            Path::Config => configuration::answer(headers),
        }
    }
}

fn check_header<B>(request: &Request<B>, way: Way) -> Result<(), Problem> {
    let header = request.headers().get(HEADER);
    if way == Way::Socket || header.is_some_and(|value| value == HEADER_VALUE) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        problem::HEADER,
        "the request lacks the header Cloister-Api: 1",
    ))
}

enum Path {
    Attestation,
    Random,
    Time,
    Config,
}

impl Path {
    fn of(path: &str) -> Result<Self, Problem> {
        match path {
            "/v1/attestation" => Ok(Self::Attestation),
            "/v1/random" => Ok(Self::Random),
            "/v1/time" => Ok(Self::Time),
            "/v1/config" => Ok(Self::Config),
            _ => Err(Problem::new(
                StatusCode::NOT_FOUND,
                problem::PATH,
                "there is nothing at this path",
            )),
        }
    }

    const fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::Attestation => attest::PARAMETERS,
            Self::Random => random::PARAMETERS,
            Self::Time | Self::Config => &[],
        }
    }
}
