//! A question to the host's resolvers: over UDP, over TCP when the answer is cut, and to the next one when a
//! resolver does not answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cloister_egress_policy::Protocol;
use cloister_egress_policy::dns::{Query, Unanswered, error_reply, read_answer};
use cloister_egress_policy::wire::{frame, split_frame};

use super::connect::dial;
use crate::context::{Context, Question, token};
use crate::outbox::Outbox;
use crate::poller::Ready;
use crate::socket::{Received, Socket};

/// For each attempt.
const PATIENCE: Duration = Duration::from_secs(2);
/// Every resolver twice, within a program's own patience.
const MAX_ATTEMPTS: usize = 6;

/// Who wait for one answer.
const MAX_ASKERS: usize = 512;
/// Messages of a resolver before others get their turn.
const TURN: usize = 64;

enum Transport {
    Udp(Socket),
    Tcp {
        socket: Socket,
        outbox: Outbox,
        inbox: Vec<u8>,
    },
}

pub struct Lookup {
    query: Query,
    askers: Vec<Question>,
    /// Of the question that is on its way: never the program's.
    id: u16,
    attempt: usize,
    /// Whom this attempt asks; the host's resolvers may be others by now.
    resolver: SocketAddr,
    transport: Transport,
    pub deadline: Instant,
}

impl Lookup {
    /// Asks the first resolver that can be asked; else the asker is told that this failed.
    #[must_use]
    pub fn start(question: Question, context: &mut Context, key: usize) -> Option<Self> {
        let query = question.query.clone();
        Self::ask_from(0, (query, vec![question]), context, key)
    }

    #[must_use]
    pub fn answers(&self, query: &Query) -> bool {
        self.query.asks_the_same(query)
    }

    /// Lets somebody else wait for the same answer: whoever forges answers gets no further chance by the same
    /// question.
    ///
    /// # Errors
    /// The question, when too many wait.
    pub fn join(&mut self, question: Question) -> Result<(), Question> {
        if self.askers.len() >= MAX_ASKERS {
            return Err(question);
        }
        self.askers.push(question);
        Ok(())
    }

    /// Gives up on this attempt.
    #[must_use]
    pub fn try_next(self, context: &mut Context, key: usize) -> Option<Self> {
        let question = (self.query, self.askers);
        Self::ask_from(self.attempt + 1, question, context, key)
    }

    fn ask_from(
        first: usize,
        (query, askers): (Query, Vec<Question>),
        context: &mut Context,
        key: usize,
    ) -> Option<Self> {
        let attempts = (context.resolvers.len() * 2).min(MAX_ATTEMPTS);
        for attempt in first..attempts {
            let resolver = context.resolvers[attempt % context.resolvers.len()];
            let id = random_id();
            let Some(mut socket) = open(Protocol::Udp, resolver, context, key).map(Socket::new)
            else {
                continue;
            };
            if socket.send(&query.encode(id)).is_ok() {
                return Some(Self {
                    query,
                    askers,
                    id,
                    attempt,
                    resolver,
                    transport: Transport::Udp(socket),
                    deadline: context.now + PATIENCE,
                });
            }
        }
        context.answers.push((askers, failure(&query)));
        None
    }

    pub fn note(&mut self, ready: Ready) {
        match &mut self.transport {
            Transport::Udp(socket) | Transport::Tcp { socket, .. } => socket.note(ready),
        }
    }

    #[must_use]
    pub fn work(mut self, context: &mut Context, key: usize) -> Option<Self> {
        for _ in 0..TURN {
            self = match self.receive(context) {
                Ok(Received::Later) => return Some(self),
                Ok(Received::Bytes(count)) => self.take(count, context, key)?,
                // An empty datagram is nobody's answer.
                Ok(Received::Nothing) if !self.is_stream() => self,
                Ok(Received::Nothing) | Err(_) => self.try_next(context, key)?,
            };
        }
        // Whoever floods it gets no more than a turn.
        context.again.push(key);
        Some(self)
    }

    fn receive(&mut self, context: &mut Context) -> std::io::Result<Received> {
        match &mut self.transport {
            Transport::Udp(socket) => socket.receive(&mut context.buffer),
            Transport::Tcp { socket, outbox, .. } => {
                outbox.flush(socket)?;
                socket.receive(&mut context.buffer)
            }
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self.transport, Transport::Tcp { .. })
    }

    /// Takes bytes from the buffer; ends with the answer.
    fn take(mut self, count: usize, context: &mut Context, key: usize) -> Option<Self> {
        let message = match &mut self.transport {
            Transport::Udp(_) => context.buffer[..count].to_vec(),
            Transport::Tcp { inbox, .. } => {
                inbox.extend_from_slice(&context.buffer[..count]);
                match split_frame(inbox) {
                    Some((message, _)) => message.to_vec(),
                    None => return Some(self),
                }
            }
        };
        let is_stream = self.is_stream();
        match read_answer(&self.query, self.id, &message) {
            Some(answer) if answer.is_truncated && !is_stream => self.ask_again(context, key),
            Some(answer) => {
                context.judge.learn(&answer, context.now);
                context.answers.push((self.askers, message));
                None
            }
            // Somebody else's datagram is waited out; a stream that brings nonsense is given up.
            None if is_stream => self.try_next(context, key),
            None => Some(self),
        }
    }

    /// The same resolver, over TCP.
    fn ask_again(mut self, context: &mut Context, key: usize) -> Option<Self> {
        let Some(socket) = open(Protocol::Tcp, self.resolver, context, key) else {
            return self.try_next(context, key);
        };
        self.id = random_id();
        let mut outbox = Outbox::default();
        outbox.push(&frame(&self.query.encode(self.id)).unwrap_or_default());
        self.transport = Transport::Tcp {
            socket: Socket::connecting(socket),
            outbox,
            inbox: Vec::new(),
        };
        self.deadline = context.now + PATIENCE;
        Some(self)
    }
}

/// The reply when no resolver answers.
#[must_use]
pub fn failure(query: &Query) -> Vec<u8> {
    error_reply(&query.encode(query.id), Unanswered::ServerFailed).unwrap_or_default()
}

fn open(
    protocol: Protocol,
    resolver: SocketAddr,
    context: &Context,
    key: usize,
) -> Option<std::os::fd::OwnedFd> {
    let socket = dial(protocol, resolver).ok()?;
    context.poller.add(&socket, token(key, false)).ok()?;
    Some(socket)
}

/// Not to be guessed by whoever sends forged answers; the source port is the kernel's choice.
fn random_id() -> u16 {
    let mut bytes = [0; 2];
    // The kernel's pool is ready long before a card runs.
    let _ = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    u16::from_be_bytes(bytes)
}
