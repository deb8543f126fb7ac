//! The policies of one enclave: the one that was measured with its image, and the operator's. Both must allow. The
//! guest is not trusted: a name that it claims for an address counts when the name's answer had it here too.

use std::net::IpAddr;
use std::time::Instant;

use cloister_egress_policy::decision::{Decision, Explanation};
use cloister_egress_policy::dns::Answer;
use cloister_egress_policy::wire::Status;
use cloister_egress_policy::{Flow, LearnedNames, Name, Policy, Protocol};

/// A denial, as the keeper is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `NAME:PORT/tcp`, `ADDRESS:PORT/udp`, or a name that was only looked up.
    pub destination: String,
    pub status: Status,
    /// The rule that decided: `deny[0]`, `allow[0]` or `none`.
    pub place: String,
    pub explanation: Box<Explanation>,
}

pub struct Judge {
    image: Policy,
    host: Option<Policy>,
    learned: LearnedNames,
}

impl Judge {
    #[must_use]
    pub fn new(image: Policy, host: Option<Policy>) -> Self {
        Self {
            image,
            host,
            learned: LearnedNames::default(),
        }
    }

    fn policies(&self) -> impl Iterator<Item = (&Policy, Status)> {
        let host = self.host.iter().map(|host| (host, Status::DeniedByHost));
        std::iter::once((&self.image, Status::DeniedByImage)).chain(host)
    }

    /// Decides a flow to an address, which the guest may claim to have from a name.
    ///
    /// # Errors
    /// The first denial.
    pub fn decide(
        &self,
        (protocol, address, port): (Protocol, IpAddr, u16),
        name: Option<&Name>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let names = name.and_then(|name| self.learned.find(address, name, now));
        let flow = Flow {
            protocol,
            address: Some(address),
            port,
            names: names.unwrap_or_default(),
        };
        for (policy, status) in self.policies() {
            let decision = policy.decide(&flow);
            if let Decision::Denied(reason) = decision {
                return Err(Refusal {
                    destination: destination(&flow),
                    status,
                    place: reason.place(),
                    explanation: policy.explain(&flow, decision).into(),
                });
            }
        }
        Ok(())
    }

    /// Decides whether a name may be looked up.
    ///
    /// # Errors
    /// The first denial.
    pub fn decide_question(&self, name: &Name) -> Result<(), Refusal> {
        for (policy, status) in self.policies() {
            if let Decision::Denied(reason) = policy.decide_question(name) {
                return Err(Refusal {
                    destination: name.to_string(),
                    status,
                    place: reason.place(),
                    explanation: policy.explain_question(name, reason).into(),
                });
            }
        }
        Ok(())
    }

    /// Takes the addresses of an answer to a question that was allowed.
    pub fn learn(&mut self, answer: &Answer, now: Instant) {
        self.learned.learn(answer, now);
    }
}

fn destination(flow: &Flow) -> String {
    let protocol = match flow.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    let host = match (flow.names.first(), flow.address) {
        (Some(name), _) => name.to_string(),
        (None, Some(IpAddr::V6(address))) => format!("[{address}]"),
        (None, Some(IpAddr::V4(address))) => address.to_string(),
        (None, None) => String::new(),
    };
    format!("{host}:{}/{protocol}", flow.port)
}
