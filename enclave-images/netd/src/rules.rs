//! The measured policy, and the names that it is about: what is asked before the host part is.

use cloister_egress_policy::dns::{Answer, Query};
use cloister_egress_policy::wire::Request;
use cloister_egress_policy::{LearnedNames, Policy, Protocol};
use std::net::SocketAddr;
use std::time::Instant;

pub struct Rules {
    policy: Policy,
    learned: LearnedNames,
}

impl Rules {
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            learned: LearnedNames::default(),
        }
    }

    /// What to ask of the host part for a flow to `to`.
    ///
    /// # Errors
    /// The same request, when the policy denies it.
    pub fn request(
        &self,
        protocol: Protocol,
        to: SocketAddr,
        now: Instant,
    ) -> Result<Request, Request> {
        let (address, port) = (to.ip().to_canonical(), to.port());
        let flow = (protocol, address, port);
        let (decision, names) = self.learned.decide(&self.policy, flow, now);
        let request = Request::Flow {
            protocol,
            address,
            port,
            name: names.first().cloned(),
        };
        if decision.is_allowed() {
            Ok(request)
        } else {
            Err(request)
        }
    }

    pub fn may_ask(&self, query: &Query) -> bool {
        self.policy.decide_question(&query.name).is_allowed()
    }

    pub fn learn(&mut self, answer: &Answer, now: Instant) {
        self.learned.learn(answer, now);
    }
}
