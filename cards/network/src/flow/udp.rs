//! Datagrams of one pair of addresses and ports, framed on the guest's stream. As UDP allows, what a slow side does
//! not take is dropped.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cloister_egress_policy::wire::{FRAME_HEAD_BYTES, split_frame};
use rustix::io::Errno;

use crate::context::Context;
use crate::outbox::Outbox;
use crate::socket::{Received, Socket};

/// Without a datagram either way.
const IDLE: Duration = Duration::from_secs(120);
/// Kept for a guest that is slow; further datagrams wait in the socket, where the kernel drops them.
const MAX_WAITING_BYTES: usize = 256 * 1024;
/// Reads and datagrams each way before others get their turn.
const TURN: usize = 256;

pub struct UdpFlow {
    guest: Socket,
    remote: Socket,
    inbox: Vec<u8>,
    outbox: Outbox,
    pub deadline: Instant,
}

impl UdpFlow {
    #[must_use]
    pub fn new(guest: Socket, remote: OwnedFd, early: &[u8], now: Instant) -> Self {
        Self {
            guest,
            remote: Socket::new(remote),
            inbox: early.to_vec(),
            outbox: Outbox::default(),
            deadline: now + IDLE,
        }
    }

    pub fn socket(&mut self, is_guest: bool) -> &mut Socket {
        if is_guest {
            &mut self.guest
        } else {
            &mut self.remote
        }
    }

    #[must_use]
    pub fn work(mut self, context: &mut Context, key: usize) -> Option<Self> {
        let outward = self.send(context)?;
        let inward = self.receive(context)?;
        if outward || inward {
            context.again.push(key);
        }
        Some(self)
    }

    /// Guest to remote; whether there is more at once.
    fn send(&mut self, context: &mut Context) -> Option<bool> {
        let mut left = TURN;
        loop {
            self.send_waiting(context, &mut left)?;
            if left == 0 {
                return Some(true);
            }
            match self.guest.receive(&mut context.buffer) {
                Ok(Received::Bytes(count)) => {
                    self.inbox.extend_from_slice(&context.buffer[..count]);
                    left -= 1;
                }
                Ok(Received::Later) => return Some(false),
                Ok(Received::Nothing) | Err(_) => return None,
            }
        }
    }

    /// What the guest has sent as a whole, at most `left` of it.
    fn send_waiting(&mut self, context: &mut Context, left: &mut usize) -> Option<()> {
        let mut taken = 0;
        while *left > 0
            && let Some((datagram, length)) = split_frame(&self.inbox[taken..])
        {
            // Tried each time: a full socket drops it, as the network would.
            self.remote.writable = true;
            match self.remote.send(datagram) {
                Err(error) if is_refused(&error) => return None,
                _ => context.counters.bytes_from_guest += datagram.len() as u64,
            }
            self.deadline = context.now + IDLE;
            taken += length;
            *left -= 1;
        }
        self.inbox.drain(..taken);
        Some(())
    }

    /// Remote to guest; whether there is more at once.
    fn receive(&mut self, context: &mut Context) -> Option<bool> {
        for _ in 0..TURN {
            self.outbox.flush(&mut self.guest).ok()?;
            if self.outbox.len() >= MAX_WAITING_BYTES {
                return Some(false);
            }
            let (head, body) = context.buffer.split_at_mut(FRAME_HEAD_BYTES);
            let count = match self.remote.receive(&mut body[..usize::from(u16::MAX)]) {
                Ok(Received::Bytes(count)) => count,
                Ok(Received::Nothing) => 0,
                Ok(Received::Later) => return Some(false),
                // Nobody listens there: the guest's association ends, and a new one may try again.
                Err(error) if is_refused(&error) => return None,
                Err(_) => continue,
            };
            head.copy_from_slice(&(count as u16).to_be_bytes());
            self.outbox
                .push(&context.buffer[..FRAME_HEAD_BYTES + count]);
            context.counters.bytes_to_guest += count as u64;
            self.deadline = context.now + IDLE;
        }
        Some(true)
    }
}

fn is_refused(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error())
}
