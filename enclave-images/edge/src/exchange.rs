//! One request: to the documents or to the program.
#![forbid(unsafe_code)]

use crate::attestation::{Attestation, Channel, PATH};
use crate::forward::{Program, carry};
use cloister_guest_api::problem::Problem;
use cloister_guest_api::reply::refusal;
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A small answer of ours, or the program's.
pub type Answer = Response<Either<Full<Bytes>, Incoming>>;

/// What the requests of one connection need.
pub struct Exchange {
    pub attestation: Arc<Attestation>,
    pub program: Program,
    pub channel: Channel,
    /// The connection's place, which a tunnel keeps.
    pub place: Arc<OwnedSemaphorePermit>,
}

impl Exchange {
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.try_answer(request)
            .await
            .unwrap_or_else(|problem| refusal(&problem).map(Either::Left))
    }

    async fn try_answer(&self, request: Request<Incoming>) -> Result<Answer, Problem> {
        if request.uri().path() == PATH {
            let reply = self.attestation.answer(&request, &self.channel).await?;
            return Ok(reply.map(Either::Left));
        }
        let place = Arc::clone(&self.place);
        let tunnel = |client, program| {
            tokio::spawn(async move {
                carry(client, program).await;
                drop(place);
            });
        };
        let response = self.program.answer(request, tunnel).await?;
        Ok(response.map(Either::Right))
    }
}
