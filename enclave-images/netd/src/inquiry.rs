//! A TCP connection of a program to the router's port 53 (RFC 7766): questions in, answers out.

use crate::connection;
use crate::flow::{Outcome, Surroundings};
use crate::packet::Pair;
use crate::stack::Stack;
use cloister_egress_policy::wire::{MAX_FRAME_BYTES, frame, split_frame};

/// Of a question, and of answers that wait while further questions are asked.
const MAX_BYTES: usize = 16 * 1024;
/// Questions that wait for their answers.
const MAX_ASKED: usize = 16;

pub struct Inquiry {
    stack: Stack,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    asked: usize,
    is_too_long: bool,
}

impl Inquiry {
    pub fn open(pair: &Pair, opening: &[u8], around: &mut Surroundings) -> Option<Self> {
        Some(Self {
            stack: connection::open(pair, opening, MAX_BYTES, around)?,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            asked: 0,
            is_too_long: false,
        })
    }

    pub fn receive(&mut self, packet: &[u8], around: &mut Surroundings) {
        let now = around.clock.stack_time();
        self.stack.receive(packet, around.tun, now);
    }

    /// The next whole question, if one may be asked now.
    pub fn next_question(&mut self) -> Option<Vec<u8>> {
        let room = MAX_BYTES.saturating_sub(self.incoming.len());
        let incoming = &mut self.incoming;
        self.stack.read(|bytes| {
            let taken = bytes.get(..bytes.len().min(room)).unwrap_or_default();
            incoming.reserve_exact(taken.len());
            incoming.extend_from_slice(taken);
            (taken.len(), ())
        });
        if self.asked >= MAX_ASKED || self.outgoing.len() > MAX_BYTES {
            return None;
        }
        self.is_too_long =
            self.incoming.len() == MAX_BYTES && split_frame(&self.incoming).is_none();
        let (message, length) = split_frame(&self.incoming)?;
        let message = message.to_vec();
        self.incoming.drain(..length);
        self.asked += 1;
        Some(message)
    }

    /// Takes the answer to a question; it is lost when too long ones wait, and the program asks again.
    pub fn answer(&mut self, message: &[u8]) {
        self.asked = self.asked.saturating_sub(1);
        let room = MAX_FRAME_BYTES.saturating_sub(self.outgoing.len());
        if let Some(framed) = frame(message).filter(|framed| framed.len() <= room) {
            self.outgoing.reserve_exact(framed.len());
            self.outgoing.extend(framed);
        }
    }

    pub fn settle(&mut self, around: &mut Surroundings) -> Outcome {
        let outgoing = &mut self.outgoing;
        loop {
            let sent = self.stack.write(|room| {
                let count = outgoing.len().min(room.len());
                room[..count].copy_from_slice(&outgoing[..count]);
                (count, count)
            });
            let sent = sent.unwrap_or(0);
            if sent == 0 {
                break;
            }
            outgoing.drain(..sent);
        }
        let has_no_more = self.is_too_long || self.stack.has_ended();
        if has_no_more && self.asked == 0 && self.outgoing.is_empty() {
            self.stack.close();
        }
        let next = self.stack.transmit(around.tun, around.clock.stack_time());
        if self.stack.is_closed() {
            return Outcome::Over;
        }
        Outcome::Waits(next.map(|time| around.clock.instant_of(time)))
    }
}
