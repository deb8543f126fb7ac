//! One request: to the documents or to the program.
#![forbid(unsafe_code)]

use crate::attestation::{Attestation, Channel, Line, PATH};
use crate::forward::{Program, carry};
use crate::idle::{Activity, Turn, Watched};
use cloister_guest_api::problem::Problem;
use cloister_guest_api::reply::refusal;
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// A small answer of ours, or the program's.
type Unwatched = Response<Either<Full<Bytes>, Incoming>>;
pub type Answer = Response<Watched<Either<Full<Bytes>, Incoming>>>;

/// What the requests of one connection need.
pub struct Exchange {
    pub attestation: Arc<Attestation>,
    pub program: Program,
    pub channel: Channel,
    pub line: Line,
    /// The connection's place, which a tunnel keeps.
    pub place: Arc<OwnedSemaphorePermit>,
    pub activity: Arc<Activity>,
    /// How long the client may do nothing.
    pub idle_limit: Duration,
}

impl Exchange {
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let turn = Turn::begin(&self.activity);
        let request = request.map(|body| turn.request(body));
        self.try_answer(request)
            .await
            .unwrap_or_else(|problem| refusal(&problem).map(Either::Left))
            .map(|body| turn.answer(body))
    }

    async fn try_answer(&self, request: Request<Watched<Incoming>>) -> Result<Unwatched, Problem> {
        if request.uri().path() == PATH {
            let answered = self.attestation.answer(&request, &self.channel, &self.line);
            return Ok(answered.await?.map(Either::Left));
        }
        let (place, idle_limit) = (Arc::clone(&self.place), self.idle_limit);
        let tunnel = move |client, program| {
            tokio::spawn(async move {
                carry(client, program, idle_limit).await;
                drop(place);
            });
        };
        let response = self.program.answer(request, tunnel).await?;
        Ok(response.map(Either::Right))
    }
}
