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

/// Answers requests, those of one listener no faster than its quota: a crowd on one leaves the other alone.
pub struct Routes {
    desk: Desk,
    loopback: RefCell<Quota>,
    socket: RefCell<Quota>,
}

impl Routes {
    pub fn new(desk: Desk) -> Self {
        let quota = || RefCell::new(Quota::new(PER_SECOND, BURST, Instant::now()));
        Self {
            desk,
            loopback: quota(),
            socket: quota(),
        }
    }

    /// Answers one request. Its body is not read.
    pub async fn answer<B>(&self, request: &Request<B>, way: Way) -> Reply {
        self.try_answer(request, way)
            .await
            .unwrap_or_else(|problem| refusal(&problem))
    }

    async fn try_answer<B>(&self, request: &Request<B>, way: Way) -> Result<Reply, Problem> {
        check_header(request, way)?;
        let path = Path::of(request.uri().path())?;
        if request.method() != Method::GET {
            let message = format!("{} is not allowed here", request.method());
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Problem::new(status, problem::PATH, message));
        }
        self.take(way)?;
        let query = Query::parse(request.uri().query(), path.parameters())?;
        let headers = request.headers();
        match path {
            Path::Attestation => attest::answer(&query, headers, &self.desk).await,
            Path::Random => random::answer(&query, headers, &self.desk).await,
            Path::Time => clock::answer(headers, &self.desk).await,
            Path::Config => configuration::answer(headers),
        }
    }

    /// After the checks above: what strangers can have a program fetch is refused there, and costs it no request.
    fn take(&self, way: Way) -> Result<(), Problem> {
        let quota = match way {
            Way::Loopback => &self.loopback,
            Way::Socket => &self.socket,
        };
        if quota.borrow_mut().take(Instant::now()) {
            return Ok(());
        }
        let message = format!("more than {PER_SECOND} requests per second");
        Err(Problem::busy(message))
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

#[cfg(test)]
mod tests {
    use super::*;

    const BEYOND_QUOTA: u32 = 2 * BURST + PER_SECOND;

    fn answer(routes: &Routes, way: Way, request: Request<()>) -> StatusCode {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(routes.answer(&request, way)).status()
    }

    fn routes() -> Routes {
        let ask = |_: &[u8]| Err(std::io::ErrorKind::Unsupported.into());
        Routes::new(Desk::open(Box::new(ask)).unwrap())
    }

    fn request(method: Method, path: &str) -> Request<()> {
        let request = Request::builder().method(method).uri(path);
        request.header(HEADER, HEADER_VALUE).body(()).unwrap()
    }

    fn configuration() -> Request<()> {
        request(Method::GET, "/v1/config")
    }

    #[test]
    fn requests_that_are_refused_cost_the_others_nothing() {
        let routes = routes();
        for _ in 0..BEYOND_QUOTA {
            let bare = Request::builder().uri("/v1/config").body(()).unwrap();
            assert_eq!(
                [
                    answer(&routes, Way::Loopback, bare),
                    answer(&routes, Way::Loopback, request(Method::GET, "/")),
                    answer(&routes, Way::Loopback, request(Method::POST, "/v1/config")),
                ],
                [
                    StatusCode::FORBIDDEN,
                    StatusCode::NOT_FOUND,
                    StatusCode::METHOD_NOT_ALLOWED
                ]
            );
        }
        let status = answer(&routes, Way::Loopback, configuration());
        assert_ne!(status, StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn a_crowd_on_the_loopback_leaves_the_socket_alone() {
        let routes = routes();
        // Faster than the quota is refilled, however slow the machine is.
        let is_busy = (0..100 * BEYOND_QUOTA).any(|_| {
            let status = answer(&routes, Way::Loopback, configuration());
            status == StatusCode::TOO_MANY_REQUESTS
        });
        assert!(is_busy);
        let status = answer(&routes, Way::Socket, configuration());
        assert_ne!(status, StatusCode::TOO_MANY_REQUESTS);
    }
}
