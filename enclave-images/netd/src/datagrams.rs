//! Datagrams between two sockets: one flow for each pair of them, until it is idle.

use crate::answer;
use crate::budget::{Budget, Share};
use crate::flow::{Outcome, Surroundings, refuse, refuse_connection};
use crate::packet::Pair;
use crate::upstream::{Received, Upstream};
use cloister_egress_policy::wire::{MAX_FRAME_BYTES, Status, frame, split_frame};
use std::io;
use std::time::{Duration, Instant};

/// As long as the network card keeps it; RFC 4787 REQ-5 asks for two minutes.
const MAX_IDLE: Duration = Duration::from_secs(120);
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
    /// Of each direction, until one needs more.
    buffer_bytes: usize,
    /// For a long datagram, while it is on its way.
    pub extra: Option<Share>,
    pub used: Instant,
}

impl Datagrams {
    pub fn new(pair: Pair, upstream: Upstream, buffer_bytes: usize, now: Instant) -> Self {
        Self {
            pair,
            upstream,
            last_packet: Vec::new(),
            is_open: false,
            is_unanswered: false,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            buffer_bytes,
            extra: None,
            used: now,
        }
    }

    /// Takes a datagram of the program. Of a burst, what is here already goes on its way first; a datagram is lost
    /// when the host part takes no more and too many wait.
    pub fn receive(&mut self, packet: &[u8], payload: &[u8], budget: &mut Budget, now: Instant) {
        self.used = now;
        self.is_unanswered = true;
        self.last_packet.clear();
        let kept = packet.get(..KEPT_BYTES).unwrap_or(packet);
        self.last_packet.extend_from_slice(kept);
        let Some(framed) = frame(payload) else {
            return;
        };
        if self.is_open && self.outgoing.len() + framed.len() > self.buffer_bytes {
            // A broken stream says so again when the flow settles.
            let _ = self.pass_on();
        }
        if self.has_room(self.outgoing.len() + framed.len(), budget) {
            self.outgoing.reserve_exact(framed.len());
            self.outgoing.extend(framed);
        }
    }

    /// Whether one direction may hold so much.
    fn has_room(&mut self, bytes: usize, budget: &mut Budget) -> bool {
        if bytes <= self.buffer_bytes {
            return true;
        }
        if self.extra.is_none() {
            self.extra = budget.promise_wide();
        }
        self.extra.is_some() && bytes <= MAX_FRAME_BYTES
    }

    /// Gives back what no direction needs any more.
    fn release(&mut self, budget: &mut Budget) {
        let bytes = self.outgoing.len().max(self.incoming.len());
        if let Some(extra) = self.extra.take_if(|_| bytes <= self.buffer_bytes) {
            self.outgoing.shrink_to_fit();
            budget.release(extra);
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
        let result = self.exchange(around);
        self.release(around.budget);
        match result {
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

    /// Sends what the host part takes.
    fn pass_on(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() && self.upstream.is_writable() {
            let sent = self.upstream.send(&self.outgoing)?;
            self.outgoing.drain(..sent);
        }
        Ok(())
    }

    /// Whether all was received.
    fn exchange(&mut self, around: &mut Surroundings) -> io::Result<bool> {
        self.pass_on()?;
        for _ in 0..MAX_RECEIVED {
            match self.upstream.receive(around.scratch)? {
                Received::Nothing => return Ok(true),
                Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Received::Bytes(count) => {
                    let bytes = around.scratch.get(..count).unwrap_or_default();
                    self.incoming.extend_from_slice(bytes);
                    self.deliver(around)?;
                }
            }
        }
        Ok(false)
    }

    /// # Errors
    /// When there is no memory for the beginning of a long datagram.
    fn deliver(&mut self, around: &mut Surroundings) -> io::Result<()> {
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
        if !self.has_room(rest.len(), around.budget) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.incoming = rest.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Dial;
    use cloister_egress_policy::wire::Request;
    use nix::sys::epoll::EpollFlags;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn flow(budget: &mut Budget) -> Datagrams {
        flow_with_host_part(budget).0
    }

    fn flow_with_host_part(budget: &mut Budget) -> (Datagrams, UnixStream) {
        let pair = Pair {
            source: "198.18.0.2:1".parse().unwrap(),
            destination: "8.8.8.8:1".parse().unwrap(),
        };
        let (ours, mut host_part) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        host_part.set_nonblocking(true).unwrap();
        let dial: Dial = Box::new(move || Ok(ours.try_clone()?.into()));
        let upstream = Upstream::open(&dial, &Request::Dns).unwrap();
        let mut request = vec![0; Request::Dns.encode().len()];
        host_part.read_exact(&mut request).unwrap();
        let share = budget.promise_small().unwrap();
        let flow = Datagrams::new(pair, upstream, share.bytes, Instant::now());
        (flow, host_part)
    }

    #[test]
    fn loses_nothing_of_a_burst_that_the_host_part_takes() {
        let mut budget = Budget::new(2 * 6 * 32 * 1024);
        let (mut flow, mut host_part) = flow_with_host_part(&mut budget);
        flow.is_open = true;
        flow.upstream.note(EpollFlags::EPOLLOUT);
        for _ in 0..100 {
            flow.receive(&[], &[0; 1200], &mut budget, Instant::now());
        }
        let mut taken = Vec::new();
        let result = host_part.read_to_end(&mut taken);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(taken.len() + flow.outgoing.len(), 100 * 1202);
        assert!(flow.extra.is_none());
    }

    #[test]
    fn ends_two_minutes_after_its_last_datagram() {
        let mut budget = Budget::new(2 * 6 * 32 * 1024);
        let mut flow = flow(&mut budget);
        let sent = flow.used + Duration::from_secs(100);
        flow.receive(&[], b"x", &mut budget, sent);
        let end = sent + Duration::from_secs(120);
        let before = end - Duration::from_millis(1);
        assert_eq!(flow.wait(before), Outcome::Waits(Some(end)));
        assert_eq!(flow.wait(end), Outcome::Over);
    }

    #[test]
    fn holds_no_more_than_it_was_promised() {
        // Six small shares.
        let mut budget = Budget::new(2 * 6 * 32 * 1024);
        let now = Instant::now();
        let (mut first, mut second) = (flow(&mut budget), flow(&mut budget));
        for _ in 0..2 {
            first.receive(&[], &[0; 60_000], &mut budget, now);
            assert_eq!(first.outgoing.len(), 60_002);
        }
        assert!(budget.promise_small().is_none());
        for length in [60_000, 16_383, 10_000, 10_000] {
            second.receive(&[], &vec![0; length], &mut budget, now);
        }
        assert_eq!(second.outgoing.capacity(), 10_002);
        first.outgoing.clear();
        first.release(&mut budget);
        assert_eq!(first.outgoing.capacity(), 0);
        second.receive(&[], &[0; 30_000], &mut budget, now);
        assert_eq!(second.outgoing.len(), 40_004);
    }
}
