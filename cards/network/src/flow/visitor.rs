//! Datagrams of one client of a published port. As UDP allows, what a slow side does not take is dropped.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cloister_egress_policy::wire::{Status, frame, split_frame};
use cloister_ingress_wire::Arrival;

use super::summons::{Call, Progress};
use crate::context::{Context, TurnedAway};
use crate::doors::Mouth;
use crate::outbox::Outbox;
use crate::socket::Received;

/// Without a datagram either way, once the guest has answered one.
const IDLE: Duration = Duration::from_secs(120);
/// Until the guest has answered: whoever sent it may not have the address that it came from.
const UNANSWERED: Duration = Duration::from_secs(15);
/// Kept for a guest that is slow; further datagrams are dropped.
const MAX_WAITING_BYTES: usize = 128 * 1024;
/// Reads before others get their turn.
const TURN: usize = 64;

pub struct Visitor {
    pub door: usize,
    client: SocketAddr,
    mouth: Mouth,
    pub call: Call,
    is_taken: bool,
    is_answered: bool,
    /// Has said something after an answer: whoever sent it has the address that it came from.
    is_known: bool,
    used: Instant,
    inbox: Vec<u8>,
    outbox: Outbox,
    pub deadline: Instant,
}

impl Visitor {
    #[must_use]
    pub fn new(door: usize, mouth: Mouth, arrival: Arrival, now: Instant) -> Self {
        Self {
            door,
            client: arrival.client,
            mouth,
            call: Call::new(arrival),
            is_taken: false,
            is_answered: false,
            is_known: false,
            used: now,
            inbox: Vec::new(),
            outbox: Outbox::default(),
            deadline: now + UNANSWERED,
        }
    }

    #[must_use]
    pub fn client(&self) -> (usize, SocketAddr) {
        (self.door, self.client)
    }

    /// Takes a datagram of the client.
    pub fn take(&mut self, datagram: &[u8], context: &mut Context) {
        if self.outbox.len() + datagram.len() <= MAX_WAITING_BYTES
            && let Some(framed) = frame(datagram)
        {
            self.outbox.push(&framed);
            context.arrivals.bytes_to_guest += datagram.len() as u64;
            self.is_known |= self.is_answered;
            self.stay(context.now);
        }
    }

    /// The least of all makes room for a new client.
    #[must_use]
    pub fn standing(&self) -> (bool, Instant) {
        (self.is_known, self.used)
    }

    fn stay(&mut self, now: Instant) {
        self.used = now;
        let time = if self.is_answered { IDLE } else { UNANSWERED };
        self.deadline = now + time;
    }

    #[must_use]
    pub fn work(mut self, context: &mut Context, key: usize) -> Option<Self> {
        if !self.is_taken {
            // Where the vsock card has no place, the datagrams wait for the client's next one.
            self.call.make(context, key);
            match self.call.work(context) {
                Progress::Waits => return Some(self),
                Progress::Refused(why) => return self.turn_away(why, context),
                Progress::Taken(early) => {
                    context.arrivals.udp += 1;
                    self.is_taken = true;
                    self.inbox = early;
                }
            }
        }
        let guest = &mut self.call.summons()?.guest;
        self.outbox.flush(guest).ok()?;
        if self.answer(context)? {
            context.again.push(key);
        }
        Some(self)
    }

    /// Guest to client; whether there is more at once.
    fn answer(&mut self, context: &mut Context) -> Option<bool> {
        for _ in 0..TURN {
            self.send_waiting(context);
            let guest = &mut self.call.summons()?.guest;
            match guest.receive(&mut context.buffer).ok()? {
                Received::Bytes(count) => self.inbox.extend_from_slice(&context.buffer[..count]),
                Received::Later => return Some(false),
                Received::Nothing => return None,
            }
        }
        Some(true)
    }

    fn send_waiting(&mut self, context: &mut Context) {
        let mut taken = 0;
        while let Some((datagram, length)) = split_frame(&self.inbox[taken..]) {
            self.mouth.send(datagram, self.client);
            context.arrivals.bytes_from_guest += datagram.len() as u64;
            taken += length;
        }
        self.inbox.drain(..taken);
        if taken > 0 {
            self.is_answered = true;
            self.stay(context.now);
        }
    }

    fn turn_away(self, why: Status, context: &mut Context) -> Option<Self> {
        context.arrivals.failed += 1;
        let door = self.door;
        context.turned_away.push(TurnedAway { door, why });
        None
    }
}
