//! A client's connection to a published port, until the guest has taken it. One that is not taken is reset: the client
//! has connected already, so that is how it learns that nobody is there.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cloister_egress_policy::wire::Status;
use cloister_ingress_wire::Arrival;
use rustix::net::sockopt;

use super::summons::{Call, Progress};
use super::{Flow, TcpFlow};
use crate::context::{Context, TurnedAway};
use crate::socket::Socket;

/// Longer than the vsock card waits for the guest.
const PATIENCE: Duration = Duration::from_secs(20);
/// Before a stream is asked for again, where the vsock card has no place for it.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Arriving {
    door: usize,
    client: Socket,
    pub call: Call,
    gives_up: Instant,
    pub deadline: Instant,
}

impl Arriving {
    /// The client's socket is watched already.
    #[must_use]
    pub fn new(door: usize, client: OwnedFd, arrival: Arrival, now: Instant) -> Self {
        Self {
            door,
            client: Socket::new(client),
            call: Call::new(arrival),
            gives_up: now + PATIENCE,
            deadline: now,
        }
    }

    /// Nothing of the guest's while it is not dialled.
    pub fn socket(&mut self, is_guest: bool) -> Option<&mut Socket> {
        if is_guest {
            self.call.summons().map(|it| &mut it.guest)
        } else {
            Some(&mut self.client)
        }
    }

    #[must_use]
    pub fn work(mut self, context: &mut Context, key: usize) -> Option<Flow> {
        if self.client.gone {
            return None;
        }
        self.call.make(context, key);
        match self.call.work(context) {
            Progress::Waits => {
                let has_stream = self.call.summons().is_some();
                let pause_ends = (context.now + PAUSE).min(self.gives_up);
                self.deadline = if has_stream {
                    self.gives_up
                } else {
                    pause_ends
                };
                Some(Flow::Arriving(self))
            }
            Progress::Refused(why) => self.turn_away(why, context),
            Progress::Taken(early) => {
                context.arrivals.tcp += 1;
                context.arrivals.bytes_from_guest += early.len() as u64;
                let flow = TcpFlow::arrived(self.call.into_guest()?, self.client, &early);
                flow.work(context, key).map(Flow::Tcp)
            }
        }
    }

    /// Asks for a stream once more, or gives up.
    #[must_use]
    pub fn expire(self, context: &mut Context, key: usize) -> Option<Flow> {
        if context.now >= self.gives_up {
            return self.turn_away(Status::TimedOut, context);
        }
        self.work(context, key)
    }

    fn turn_away(self, why: Status, context: &mut Context) -> Option<Flow> {
        context.arrivals.failed += 1;
        let door = self.door;
        context.turned_away.push(TurnedAway { door, why });
        reset(&self.client);
        None
    }
}

/// Has a connection end with a reset once it is closed.
pub fn reset(client: &impl std::os::fd::AsFd) {
    let _ = sockopt::set_socket_linger(client, Some(Duration::ZERO));
}
