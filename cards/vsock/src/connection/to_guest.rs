//! A stream's turn at sending to the guest: handshake, data, shutdown flags, credit, in this order.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{Connection, Phase};
use crate::guest_queue::ReceiveRing;
use crate::packet::{Header, Operation, Shutdown, TYPE_STREAM};

/// Bytes one stream may send to the guest before the others get their turn.
pub const QUANTUM_BYTES: usize = 64 * 1024;

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

impl Connection {
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
                // Closed as a whole, which the guest hears at once with the end and not behind it.
                if is_hung_up(&self.socket) {
                    self.notice(true, true);
                    self.is_readable = false;
                }
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

    pub(super) fn can_read(&self) -> bool {
        self.is_readable
            && !self.closed_by_host.send
            && !self.has_failed
            && self.credit.sendable() > 0
    }

    /// The host's sending end is closed for the guest only once all of its bytes were sent.
    pub(super) fn shutdown_due(&self) -> Shutdown {
        self.closed_by_host.union(self.told_to_guest)
    }
}

/// Whether the host's side of a stream is closed both ways.
fn is_hung_up(socket: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(socket, PollFlags::empty())];
    let found = poll(&mut watched, Some(&Timespec::default()));
    found.is_ok() && watched[0].revents().contains(PollFlags::HUP)
}
