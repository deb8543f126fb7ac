//! A TCP connection of a program. It is held until the host part has connected, so that connect(2) tells
//! the truth.

use crate::flow::{Outcome, Surroundings, refuse};
use crate::packet::Pair;
use crate::spares::Spares;
use crate::stack::Stack;
use crate::upstream::Upstream;
use cloister_egress_policy::wire::Status;
use std::time::{Duration, Instant};

/// Longer than Linux tries to connect.
const MAX_HELD: Duration = Duration::from_secs(150);
/// How long the last bytes of a program that is gone may wait for a slow reader.
const MAX_LINGER: Duration = Duration::from_secs(60);

pub struct Connection {
    pair: Pair,
    pub upstream: Upstream,
    buffer_bytes: usize,
    state: State,
}

enum State {
    /// With the packet that opens it.
    Held { opening: Vec<u8>, until: Instant },
    /// Once the program's side is closed, what it has sent may still be on its way for a while.
    Open {
        stack: Box<Stack>,
        lingers: Option<Instant>,
    },
}

impl Connection {
    pub fn hold(
        pair: Pair,
        opening: &[u8],
        upstream: Upstream,
        buffer_bytes: usize,
        now: Instant,
    ) -> Self {
        let state = State::Held {
            opening: opening.to_vec(),
            until: now + MAX_HELD,
        };
        Self {
            pair,
            upstream,
            buffer_bytes,
            state,
        }
    }

    /// Takes a packet of the guest. While the connection is held it is the opening one again.
    pub fn receive(&mut self, packet: &[u8], around: &mut Surroundings) {
        if let State::Open { stack, .. } = &mut self.state {
            stack.receive(packet, around.tun, around.clock.stack_time());
        }
    }

    /// Moves what can be moved.
    pub fn settle(&mut self, around: &mut Surroundings) -> Outcome {
        if let State::Held { opening, until } = &self.state {
            let (status, until) = (self.upstream.answer(), *until);
            match status {
                Ok(Some(Status::Ok)) => {}
                Ok(None) if until > around.clock.now => return Outcome::Waits(Some(until)),
                Ok(None) => return Outcome::Over,
                Ok(Some(status)) => {
                    refuse(opening, status, around.tun);
                    return Outcome::Over;
                }
                Err(_) => {
                    refuse(opening, Status::NetworkUnreachable, around.tun);
                    return Outcome::Over;
                }
            }
            let Some(stack) = open(&self.pair, opening, self.buffer_bytes, around) else {
                return Outcome::Over;
            };
            self.state = State::Open {
                stack: Box::new(stack),
                lingers: None,
            };
        }
        self.relay(around)
    }

    /// Ends it for good.
    pub fn leave(self, spares: &mut Spares) {
        if let State::Open { stack, .. } = self.state {
            spares.keep(stack.into_socket());
        }
    }

    fn relay(&mut self, around: &mut Surroundings) -> Outcome {
        let State::Open { stack, lingers } = &mut self.state else {
            return Outcome::Over;
        };
        let result = stack.relay(&mut self.upstream);
        let next = stack.transmit(around.tun, around.clock.stack_time());
        if result.is_err() || stack.is_over() {
            return Outcome::Over;
        }
        if !stack.is_closed() {
            return Outcome::Waits(next.map(|time| around.clock.instant_of(time)));
        }
        let now = around.clock.now;
        let until = *lingers.get_or_insert(now + MAX_LINGER);
        if until > now {
            Outcome::Waits(Some(until))
        } else {
            Outcome::Over
        }
    }
}

/// Ends the connection here: the opening packet is answered.
pub fn open(
    pair: &Pair,
    opening: &[u8],
    buffer_bytes: usize,
    around: &mut Surroundings,
) -> Option<Stack> {
    let now = around.clock.stack_time();
    let socket = around.budget.spares.take(buffer_bytes);
    let mut stack = Stack::listen(pair, socket, around.tun, now)?;
    stack.receive(opening, around.tun, now);
    Some(stack)
}
