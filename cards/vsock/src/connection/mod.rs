//! One stream between a port of the guest and a socket of the host: what either end has
//! closed, what the guest is still owed, and the bytes that the host has not taken yet. It owns
//! no queue and no table: the device calls it and acts on what it reports.

mod to_guest;
mod to_host;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::net::shutdown;

use crate::credit::Credit;
use crate::packet::Shutdown;

pub use to_guest::{QUANTUM_BYTES, Turn};

/// What names a stream: the CID the guest knows its parent by, and both ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub parent_cid: u64,
    pub parent_port: u32,
    pub guest_port: u32,
}

/// Who dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    FromGuest,
    FromHost,
}

/// How far the opening handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The guest must still be sent the request of a host connection.
    Requesting,
    /// The guest must still answer that request.
    Requested,
    /// The guest must still be sent the response to its own request.
    Responding,
    Established,
}

/// Why a stream is over, and what the guest must hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest knows already, or has been sent both shutdown flags.
    Quiet,
    /// The guest must be sent a reset.
    Reset,
}

/// The guest broke the protocol on this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation;

pub struct Connection {
    pub key: Key,
    pub direction: Direction,
    pub phase: Phase,
    pub credit: Credit,
    pub opened: Instant,
    pub bytes_to_guest: u64,
    pub bytes_to_host: u64,
    /// Whether it waits for its turn to send to the guest.
    pub is_queued: bool,
    /// Whether the reactor also watches for room in the host's socket.
    pub is_watched_for_room: bool,
    /// The guest is owed its credit, because it asked.
    pub owes_credit: bool,
    socket: OwnedFd,
    outbox: VecDeque<u8>,
    /// The socket may hold bytes, or its end, that were not read yet.
    is_readable: bool,
    /// The end of the host's bytes is in the socket, behind those not read yet.
    is_end_queued: bool,
    has_hung_up: bool,
    has_failed: bool,
    is_orphan: bool,
    closed_by_guest: Shutdown,
    closed_by_host: Shutdown,
    told_to_guest: Shutdown,
}

impl Connection {
    /// `socket` is a connected stream socket.
    pub fn new(key: Key, direction: Direction, socket: OwnedFd, window: u32) -> Self {
        Self {
            key,
            direction,
            phase: match direction {
                Direction::FromGuest => Phase::Responding,
                Direction::FromHost => Phase::Requesting,
            },
            credit: Credit::new(window),
            opened: Instant::now(),
            bytes_to_guest: 0,
            bytes_to_host: 0,
            is_queued: false,
            is_watched_for_room: false,
            owes_credit: false,
            socket,
            outbox: VecDeque::new(),
            is_readable: true,
            is_end_queued: false,
            has_hung_up: false,
            has_failed: false,
            is_orphan: false,
            closed_by_guest: Shutdown::default(),
            closed_by_host: Shutdown::default(),
            told_to_guest: Shutdown::default(),
        }
    }

    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// The guest has let go of the stream; only what the host still has to read keeps it.
    pub fn orphan(&mut self) {
        self.is_orphan = true;
    }

    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.is_orphan
    }

    /// The guest closed these directions.
    pub fn close_by_guest(&mut self, closed: Shutdown) {
        self.closed_by_guest = self.closed_by_guest.union(closed);
        if closed.receive {
            let _ = shutdown(&self.socket, rustix::net::Shutdown::Read); // the host's writes fail from now on
            self.closed_by_host.send = true;
        }
        self.pass_on_end();
    }

    /// The host's socket became readable, was closed for sending, or was closed.
    pub fn notice(&mut self, is_ended: bool, is_hung_up: bool) {
        self.is_readable = true;
        self.is_end_queued |= is_ended || is_hung_up;
        if is_hung_up {
            self.has_hung_up = true;
            self.close_host_receiver();
        }
    }

    /// Whether there is anything to send to the guest.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        match self.phase {
            Phase::Requesting | Phase::Responding => true,
            Phase::Requested => false,
            Phase::Established => {
                self.can_read()
                    || self.owes_credit
                    || self.credit.is_update_due()
                    || self.shutdown_due() != self.told_to_guest
            }
        }
    }

    /// Whether the host has closed its end before the guest has answered.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.has_hung_up
            && self.phase != Phase::Established
            && self.direction == Direction::FromHost
    }

    #[must_use]
    pub fn is_held_up(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether and how the stream is over.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        if self.is_orphan {
            return self.outbox.is_empty().then_some(End::Quiet);
        }
        if self.has_failed || self.is_abandoned() {
            return Some(End::Reset);
        }
        if self.closed_by_guest == Shutdown::BOTH && self.outbox.is_empty() {
            return Some(End::Reset);
        }
        (self.told_to_guest == Shutdown::BOTH).then_some(End::Quiet)
    }

    /// Both ends have said all they had to say: the guest is told that the stream is over.
    pub(super) fn settle(&mut self) {
        if self.closed_by_host.send && self.closed_by_guest.send && self.outbox.is_empty() {
            self.closed_by_host.receive = true;
        }
    }

    pub(super) fn close_host_receiver(&mut self) {
        self.closed_by_host.receive = true;
        self.credit.forward(self.outbox.len());
        self.outbox = VecDeque::new();
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
