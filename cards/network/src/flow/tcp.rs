//! A TCP connection of the guest: held until it is known whether it stands, then bytes both ways, each with an end
//! of its own.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cloister_egress_policy::wire::Status;
use rustix::net::sockopt;

use super::Flow;
use super::connect::status_of;
use super::greeting::tell;
use crate::context::Context;
use crate::pipe::{Broken, Pipe, Turn};
use crate::socket::Socket;

/// Shorter than the kernel's own patience of two minutes, longer than most programs'.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

pub struct TcpFlow {
    guest: Socket,
    remote: Socket,
    /// Until the connection stands.
    connecting_until: Option<Instant>,
    to_remote: Pipe,
    to_guest: Pipe,
    /// The remote is a client that has connected to the guest.
    pub is_arrival: bool,
}

impl TcpFlow {
    /// A client's connection that the guest has taken; `early` is what the guest has said already.
    #[must_use]
    pub fn arrived(guest: Socket, client: Socket, early: &[u8]) -> Self {
        Self {
            guest,
            remote: client,
            connecting_until: None,
            to_remote: Pipe::holding(early),
            to_guest: Pipe::default(),
            is_arrival: true,
        }
    }

    #[must_use]
    pub fn new(guest: Socket, remote: OwnedFd, early: &[u8], now: Instant) -> Self {
        Self {
            guest,
            remote: Socket::connecting(remote),
            connecting_until: Some(now + CONNECT_TIMEOUT),
            to_remote: Pipe::holding(early),
            to_guest: Pipe::default(),
            is_arrival: false,
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
    pub fn deadline(&self) -> Option<Instant> {
        self.connecting_until
    }

    /// The connection took too long.
    #[must_use]
    pub fn expire(mut self, context: &mut Context) -> Option<Flow> {
        context.counters.failed += 1;
        tell(&mut self.guest, Status::TimedOut);
        None
    }

    #[must_use]
    pub fn work(mut self, context: &mut Context, key: usize) -> Option<Self> {
        if self.connecting_until.is_some() {
            if self.guest.gone {
                return None;
            }
            if !self.remote.writable {
                return Some(self);
            }
            self.take_connection(context)?;
        }
        self.relay(context, key)
    }

    /// Tells the guest how connecting went; nothing when it failed.
    fn take_connection(&mut self, context: &mut Context) -> Option<()> {
        let failure = match sockopt::socket_error(&self.remote) {
            Ok(Ok(())) => {
                self.connecting_until = None;
                tell(&mut self.guest, Status::Ok);
                return Some(());
            }
            Ok(Err(error)) | Err(error) => error,
        };
        context.counters.failed += 1;
        tell(&mut self.guest, status_of(&failure.into()));
        None
    }

    fn relay(mut self, context: &mut Context, key: usize) -> Option<Self> {
        let Context {
            buffer,
            counters,
            arrivals,
            ..
        } = context;
        let (from_guest, to_guest) = if self.is_arrival {
            (&mut arrivals.bytes_from_guest, &mut arrivals.bytes_to_guest)
        } else {
            (&mut counters.bytes_from_guest, &mut counters.bytes_to_guest)
        };
        let (guest, remote) = (&mut self.guest, &mut self.remote);
        self.to_remote.is_one_way = self.is_arrival && !self.to_guest.is_finished();
        let outward = self.to_remote.pump(guest, remote, buffer, from_guest);
        // Also where the other side takes nothing more: what it said before that may be why.
        let inward = self.to_guest.pump(remote, guest, buffer, to_guest);
        let (outward, inward) = match (outward, inward) {
            (Ok(outward), Ok(inward)) => (outward, inward),
            (outward, inward) => {
                let is_guests = matches!(outward, Err(Broken::Sender(_)))
                    || matches!(inward, Err(Broken::Receiver(_)));
                return self.reset(is_guests);
            }
        };
        // A guest that is gone takes nothing more; what it has sent is on its way.
        let is_deaf = self.guest.gone && self.to_remote.is_finished();
        if is_deaf || (self.to_remote.is_finished() && self.to_guest.is_finished()) {
            return None;
        }
        if outward == Turn::Over || inward == Turn::Over {
            context.again.push(key);
        }
        Some(self)
    }

    /// Ends a broken flow: each side hears of a reset and not of an orderly end. The guest's stream is closed as a
    /// whole, without an end of sending before, which the vsock card passes on as that.
    fn reset(self, is_guests: bool) -> Option<Self> {
        if is_guests {
            let _ = sockopt::set_socket_linger(&self.remote, Some(Duration::ZERO));
        }
        None
    }
}
