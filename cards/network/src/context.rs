//! What flows share: the policies, the counters, a buffer, and what they leave for the engine to do after a turn.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use cloister_egress_policy::dns::Query;
use cloister_egress_policy::wire::Status;
use serde::Serialize;

use crate::dialler::{Answer, Dialler};
use crate::judge::{Judge, Refusal};
use crate::poller::Poller;
use crate::refusals::{Refusals, Refused};

/// The shared buffer; a datagram and its length fit.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// Since the card's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    pub tcp_flows: u64,
    pub udp_flows: u64,
    pub lookups: u64,
    /// Flows that were allowed and not connected: refused, unreachable, timed out.
    pub failed: u64,
    /// Flows beyond the limit.
    pub too_many: u64,
    pub bytes_from_guest: u64,
    pub bytes_to_guest: u64,
}

/// Of clients of published ports, since the card's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArrivalCounters {
    pub tcp: u64,
    pub udp: u64,
    /// Those that the guest refused, or did not answer.
    pub failed: u64,
    /// Those beyond the limit.
    pub too_many: u64,
    pub bytes_from_guest: u64,
    pub bytes_to_guest: u64,
}

/// Who asked a question, or for a stream to the guest: a flow's key, and its number, as keys are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    pub key: usize,
    pub number: u64,
}

/// A client whose connection the guest did not take: at which of the doors, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    pub door: usize,
    pub why: Status,
}

pub struct Question {
    pub asker: Asker,
    pub query: Query,
}

pub struct Context {
    pub poller: Poller,
    /// Where ports are published.
    pub dialler: Option<Dialler>,
    pub judge: Judge,
    pub resolvers: Vec<SocketAddr>,
    pub counters: Counters,
    pub arrivals: ArrivalCounters,
    pub refusals: Refusals,
    pub buffer: Box<[u8]>,
    pub now: Instant,
    /// Flows that have more to do at once.
    pub again: Vec<usize>,
    pub questions: Vec<Question>,
    /// For all who asked the same.
    pub answers: Vec<(Vec<Question>, Vec<u8>)>,
    /// For the keeper.
    pub news: Vec<Refused>,
    /// Clients that the guest has refused, for the keeper too.
    pub turned_away: Vec<TurnedAway>,
    numbers: u64,
}

impl Context {
    #[must_use]
    pub fn new(poller: Poller, judge: Judge, resolvers: Vec<SocketAddr>) -> Self {
        Self {
            poller,
            dialler: None,
            judge,
            resolvers,
            counters: Counters::default(),
            arrivals: ArrivalCounters::default(),
            refusals: Refusals::default(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            now: Instant::now(),
            again: Vec::new(),
            questions: Vec::new(),
            answers: Vec::new(),
            news: Vec::new(),
            turned_away: Vec::new(),
            numbers: 0,
        }
    }

    /// Counts a refusal; the keeper hears of the first one to a destination.
    pub fn refuse(&mut self, refusal: Refusal) {
        if let Some(refused) = self.refusals.add(refusal) {
            self.news.push(refused.clone());
        }
    }

    /// Asks for a stream to the guest; returns the number of the question, or nothing when it has to wait.
    pub fn dial(&mut self, key: usize) -> Option<u64> {
        let number = self.next_number();
        let is_asked = self.dialler.as_mut()?.ask(Asker { key, number });
        is_asked.then_some(number)
    }

    /// The next stream to the guest that was asked for; nothing when there is none now.
    ///
    /// # Errors
    /// When none will come any more.
    pub fn next_stream(&mut self) -> io::Result<Option<Answer>> {
        let dialler = self.dialler.as_mut();
        dialler.map_or(Ok(None), Dialler::answer)
    }

    /// A number that no flow has had.
    pub fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// The poller's token of a flow's socket: the guest's stream, or the other one.
#[must_use]
pub fn token(key: usize, is_guest: bool) -> u64 {
    (key as u64) << 1 | u64::from(is_guest)
}
