//! One stream between a port of the guest and a unix socket of the host: what either end has
//! closed, what the guest is still owed, and the bytes that the host has not taken yet. It owns
//! no queue and no table: the device calls it and acts on what it reports.

use std::collections::VecDeque;
use std::net;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::credit::Credit;
use crate::guest_queue::ReceiveRing;
use crate::packet::{Header, Operation, Shutdown, TYPE_STREAM};

/// Bytes one stream may send to the guest before the others get their turn.
pub const QUANTUM_BYTES: usize = 64 * 1024;

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

/// How a turn at sending to the guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing more to send for now.
    Idle,
    /// There may be more, after the others' turn.
    More,
    /// The driver has posted no buffer.
    NoBuffer,
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
    socket: UnixStream,
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
    pub fn new(key: Key, direction: Direction, socket: UnixStream, window: u32) -> Self {
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

    /// The guest answered the host's request: the host hears `OK <port>`.
    pub fn establish(&mut self) {
        self.phase = Phase::Established;
        let line = format!("OK {}\n", self.key.parent_port);
        // The socket is fresh, so the line fits; a host that has gone is noticed by its hang-up.
        let _ = send(
            &self.socket,
            line.as_bytes(),
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        );
    }

    /// Takes in payload from the guest and passes on what the host accepts now.
    ///
    /// # Errors
    /// When the guest exceeds its credit, or sends after it said that it would not.
    pub fn receive(&mut self, payload: &[u8]) -> Result<(), Violation> {
        if self.closed_by_guest.send || !self.credit.receive(payload.len()) {
            return Err(Violation);
        }
        if self.closed_by_host.receive {
            self.credit.forward(payload.len()); // raced with the host's close
            return Ok(());
        }
        let sent = if self.outbox.is_empty() {
            self.pass_on(payload)
        } else {
            0
        };
        if !self.closed_by_host.receive {
            self.outbox.extend(&payload[sent..]);
        }
        Ok(())
    }

    /// Passes on more of what is held for the host, and its end once nothing is held any more.
    pub fn flush(&mut self) {
        let mut held = std::mem::take(&mut self.outbox);
        while !held.is_empty() && !self.closed_by_host.receive {
            let (front, _) = held.as_slices();
            let sent = self.pass_on(front);
            held.drain(..sent);
            if sent == 0 {
                break;
            }
        }
        if self.closed_by_host.receive {
            self.credit.forward(held.len());
        } else if !held.is_empty() {
            self.outbox = held; // an emptied one is dropped, with its memory
        }
        self.pass_on_end();
    }

    /// The guest closed these directions.
    pub fn close_by_guest(&mut self, closed: Shutdown) {
        self.closed_by_guest = self.closed_by_guest.union(closed);
        if closed.receive {
            let _ = self.socket.shutdown(net::Shutdown::Read); // the host's writes fail from now on
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

    /// Sends what there is to send: handshake, data, shutdown flags, credit, in this order.
    pub fn take_turn(&mut self, ring: &mut ReceiveRing<'_>, scratch: &mut [u8]) -> Turn {
        let turn = match self.phase {
            Phase::Requested => Turn::Idle,
            Phase::Requesting => self.send_handshake(ring, Operation::Request, Phase::Requested),
            Phase::Responding => {
                match self.send_handshake(ring, Operation::Response, Phase::Established) {
                    Turn::Idle => self.send_stream(ring, scratch),
                    turn => turn,
                }
            }
            Phase::Established => self.send_stream(ring, scratch),
        };
        ring.release();
        turn
    }

    fn send_handshake(
        &mut self,
        ring: &mut ReceiveRing<'_>,
        operation: Operation,
        next: Phase,
    ) -> Turn {
        let is_sent = self.send_control(ring, operation, 0);
        if !is_sent {
            return Turn::NoBuffer;
        }
        self.phase = next;
        Turn::Idle
    }

    fn send_stream(&mut self, ring: &mut ReceiveRing<'_>, scratch: &mut [u8]) -> Turn {
        let turn = self.send_data(ring, scratch);
        if turn == Turn::NoBuffer {
            return turn;
        }
        let due = self.shutdown_due();
        if due != self.told_to_guest {
            if !self.send_control(ring, Operation::Shutdown, due.to_wire()) {
                return Turn::NoBuffer;
            }
            self.told_to_guest = due;
        }
        if self.owes_credit || self.credit.is_update_due() {
            if !self.send_control(ring, Operation::CreditUpdate, 0) {
                return Turn::NoBuffer;
            }
            self.owes_credit = false;
        }
        turn
    }

    fn send_data(&mut self, ring: &mut ReceiveRing<'_>, scratch: &mut [u8]) -> Turn {
        let mut quantum = QUANTUM_BYTES.min(scratch.len());
        while self.can_read() {
            if quantum == 0 {
                return Turn::More;
            }
            let wanted = self.credit.sendable().min(quantum);
            let Some(room) = ring.reserve(wanted) else {
                return Turn::NoBuffer;
            };
            let bytes = self.read_socket(&mut scratch[..wanted.min(room)]);
            self.deliver(ring, &scratch[..bytes]);
            ring.release();
            quantum -= bytes;
        }
        Turn::Idle
    }

    /// Reads from the host's socket; its end and its failure are noted.
    fn read_socket(&mut self, buffer: &mut [u8]) -> usize {
        match recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => {
                self.is_readable = false;
                self.closed_by_host.send = true;
                self.settle();
                0
            }
            Ok((_, bytes)) => {
                // A short read has emptied the socket, unless its end is queued behind the bytes.
                self.is_readable = bytes == buffer.len() || self.is_end_queued;
                bytes
            }
            Err(Errno::INTR) => 0,
            Err(Errno::AGAIN) => {
                self.is_readable = false;
                0
            }
            Err(_) => {
                self.is_readable = false;
                self.has_failed = true;
                0
            }
        }
    }

    fn deliver(&mut self, ring: &mut ReceiveRing<'_>, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let header = self.header(Operation::ReadWrite, 0);
            let sent = ring.deliver(&header, bytes);
            if sent == 0 {
                self.has_failed = true; // cannot happen: the buffers were reserved
                return;
            }
            self.credit.send(sent);
            self.bytes_to_guest += sent as u64;
            bytes = &bytes[sent..];
        }
    }

    fn send_control(
        &mut self,
        ring: &mut ReceiveRing<'_>,
        operation: Operation,
        flags: u32,
    ) -> bool {
        if ring.reserve(0).is_none() {
            return false;
        }
        let header = self.header(operation, flags);
        ring.deliver(&header, &[]);
        true
    }

    fn header(&mut self, operation: Operation, flags: u32) -> Header {
        let (buf_alloc, fwd_cnt) = self.credit.announce();
        Header {
            src_cid: self.key.parent_cid,
            src_port: self.key.parent_port,
            dst_port: self.key.guest_port,
            kind: TYPE_STREAM,
            operation: operation as u16,
            flags,
            buf_alloc,
            fwd_cnt,
            ..Header::default()
        }
    }

    fn can_read(&self) -> bool {
        self.is_readable
            && !self.closed_by_host.send
            && !self.has_failed
            && self.credit.sendable() > 0
    }

    /// The host's sending end is closed for the guest only once all of its bytes were sent.
    fn shutdown_due(&self) -> Shutdown {
        self.closed_by_host.union(self.told_to_guest)
    }

    fn pass_on(&mut self, bytes: &[u8]) -> usize {
        match send(
            &self.socket,
            bytes,
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        ) {
            Ok(sent) => {
                self.credit.forward(sent);
                self.bytes_to_host += sent as u64;
                sent
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                self.credit.forward(bytes.len());
                self.close_host_receiver();
                bytes.len()
            }
        }
    }

    fn pass_on_end(&mut self) {
        if self.closed_by_guest.send && self.outbox.is_empty() {
            let _ = self.socket.shutdown(net::Shutdown::Write);
            self.settle();
        }
    }

    /// Both ends have said all they had to say: the guest is told that the stream is over.
    fn settle(&mut self) {
        if self.closed_by_host.send && self.closed_by_guest.send && self.outbox.is_empty() {
            self.closed_by_host.receive = true;
        }
    }

    fn close_host_receiver(&mut self) {
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
