//! Datagrams between two sockets: one flow for each pair of them, until it is idle.

use crate::answer;
use crate::flow::{Outcome, Surroundings, refuse, refuse_connection};
use crate::packet::Pair;
use crate::upstream::{Received, Upstream};
use cloister_egress_policy::wire::{MAX_FRAME_BYTES, Status, frame, split_frame};
use std::io;
use std::time::{Duration, Instant};

const MAX_IDLE: Duration = Duration::from_secs(60);
/// An end that follows a datagram so soon is its refusal.
const REFUSAL_WINDOW: Duration = Duration::from_secs(5);
/// How often a flow receives before others have their turn.
const MAX_RECEIVED: usize = 32;
/// What of a packet is kept, to be quoted: its headers.
const KEPT_BYTES: usize = 64;

pub struct Datagrams {
    pair: Pair,
    pub upstream: Upstream,
    /// The beginning of the last packet of the program.
    last_packet: Vec<u8>,
    is_open: bool,
    /// Whether the last datagram was the program's.
    is_unanswered: bool,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    pub used: Instant,
}

impl Datagrams {
    pub fn new(pair: Pair, upstream: Upstream, now: Instant) -> Self {
        Self {
            pair,
            upstream,
            last_packet: Vec::new(),
            is_open: false,
            is_unanswered: false,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            used: now,
        }
    }

    /// Takes a datagram of the program; it is lost when too many wait.
    pub fn receive(&mut self, packet: &[u8], payload: &[u8], now: Instant) {
        self.used = now;
        self.is_unanswered = true;
        self.last_packet.clear();
        let kept = packet.get(..KEPT_BYTES).unwrap_or(packet);
        self.last_packet.extend_from_slice(kept);
        let room = MAX_FRAME_BYTES.saturating_sub(self.outgoing.len());
        if let Some(framed) = frame(payload).filter(|framed| framed.len() <= room) {
            self.outgoing.extend(framed);
        }
    }

    pub fn settle(&mut self, around: &mut Surroundings) -> Outcome {
        let now = around.clock.now;
        if !self.is_open {
            match self.upstream.answer() {
                Ok(Some(Status::Ok)) => self.is_open = true,
                Ok(None) => return self.wait(now),
                Ok(Some(status)) => {
                    refuse(&self.last_packet, status, around.tun);
                    return Outcome::Over;
                }
                Err(_) => {
                    refuse(&self.last_packet, Status::NetworkUnreachable, around.tun);
                    return Outcome::Over;
                }
            }
        }
        match self.exchange(around) {
            Ok(true) => self.wait(now),
            Ok(false) => Outcome::Continues,
            Err(_) => {
                if self.is_unanswered && now.duration_since(self.used) < REFUSAL_WINDOW {
                    refuse_connection(&self.last_packet, around.tun);
                }
                Outcome::Over
            }
        }
    }

    fn wait(&self, now: Instant) -> Outcome {
        let until = self.used + MAX_IDLE;
        if until > now {
            Outcome::Waits(Some(until))
        } else {
            Outcome::Over
        }
    }

    /// Whether all was received.
    fn exchange(&mut self, around: &mut Surroundings) -> io::Result<bool> {
        while !self.outgoing.is_empty() && self.upstream.is_writable() {
            let sent = self.upstream.send(&self.outgoing)?;
            self.outgoing.drain(..sent);
        }
        for _ in 0..MAX_RECEIVED {
            match self.upstream.receive(around.scratch)? {
                Received::Nothing => return Ok(true),
                Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Received::Bytes(count) => {
                    let bytes = around.scratch.get(..count).unwrap_or_default();
                    self.incoming.extend_from_slice(bytes);
                    self.deliver(around);
                }
            }
        }
        Ok(false)
    }

    fn deliver(&mut self, around: &mut Surroundings) {
        self.used = around.clock.now;
        self.is_unanswered = false;
        let incoming = std::mem::take(&mut self.incoming);
        let mut rest = &incoming[..];
        while let Some((message, length)) = split_frame(rest) {
            if let Some(packet) = answer::datagram(&self.pair, message) {
                around.tun.send(&packet);
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        self.incoming = rest.to_vec();
    }
}
