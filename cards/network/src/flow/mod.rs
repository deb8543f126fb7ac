//! One stream of the guest, from its request to its end, and the look-ups that streams ask for; one client of a published
//! port, from its arrival to its end.

mod arriving;
mod connect;
mod dns;
mod greeting;
mod lookup;
mod summons;
mod tcp;
mod udp;
mod visitor;

pub use arriving::{Arriving, reset};
pub use connect::prepare_connection;
pub use dns::DnsFlow;
pub use greeting::{Greeting, tell};
pub use lookup::{Lookup, failure};
pub use summons::Call;
pub use tcp::TcpFlow;
pub use udp::UdpFlow;
pub use visitor::Visitor;

use std::net::SocketAddr;
use std::time::Instant;

use crate::context::Context;
use crate::poller::Ready;
use crate::socket::Socket;

pub enum Flow {
    /// Its request is not whole yet.
    Greeting(Greeting),
    Tcp(TcpFlow),
    Udp(UdpFlow),
    Dns(DnsFlow),
    /// A question to a resolver.
    Lookup(Lookup),
    /// A client's connection that the guest has not taken yet.
    Arriving(Arriving),
    /// Datagrams of a client.
    Visitor(Visitor),
    /// Taken out for its turn.
    Away,
}

impl Flow {
    /// Notes that one of its sockets turned ready.
    pub fn note(&mut self, is_guest: bool, ready: Ready) {
        if is_guest {
            if let Some(guest) = self.guest() {
                guest.note(ready);
            }
            return;
        }
        match self {
            Self::Tcp(flow) => flow.socket(false).note(ready),
            Self::Udp(flow) => flow.socket(false).note(ready),
            Self::Lookup(lookup) => lookup.note(ready),
            Self::Arriving(flow) => {
                if let Some(client) = flow.socket(false) {
                    client.note(ready);
                }
            }
            Self::Greeting(_) | Self::Dns(_) | Self::Visitor(_) | Self::Away => {}
        }
    }

    /// The guest's stream, where it is there.
    pub fn guest(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Greeting(flow) => Some(&mut flow.guest),
            Self::Tcp(flow) => Some(flow.socket(true)),
            Self::Udp(flow) => Some(flow.socket(true)),
            Self::Dns(flow) => Some(&mut flow.guest),
            Self::Arriving(flow) => flow.socket(true),
            Self::Visitor(flow) => flow.call.summons().map(|it| &mut it.guest),
            Self::Lookup(_) | Self::Away => None,
        }
    }

    /// Where a stream to the guest was asked for.
    pub fn call(&mut self) -> Option<&mut Call> {
        match self {
            Self::Arriving(flow) => Some(&mut flow.call),
            Self::Visitor(flow) => Some(&mut flow.call),
            _ => None,
        }
    }

    /// Does what can be done now; nothing is left of it when it has ended.
    #[must_use]
    pub fn work(self, context: &mut Context, key: usize) -> Option<Self> {
        match self {
            Self::Greeting(flow) => flow.work(context, key),
            Self::Tcp(flow) => flow.work(context, key).map(Self::Tcp),
            Self::Udp(flow) => flow.work(context, key).map(Self::Udp),
            Self::Dns(flow) => flow.work(context, key).map(Self::Dns),
            Self::Lookup(lookup) => lookup.work(context, key).map(Self::Lookup),
            Self::Arriving(flow) => flow.work(context, key),
            Self::Visitor(flow) => flow.work(context, key).map(Self::Visitor),
            Self::Away => None,
        }
    }

    /// When it has waited for long enough.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Greeting(flow) => Some(flow.deadline),
            Self::Tcp(flow) => flow.deadline(),
            Self::Udp(flow) => Some(flow.deadline),
            Self::Lookup(lookup) => Some(lookup.deadline),
            Self::Arriving(flow) => Some(flow.deadline),
            Self::Visitor(flow) => Some(flow.deadline),
            Self::Dns(_) | Self::Away => None,
        }
    }

    /// Its deadline has passed: it gives up, or tries once more.
    #[must_use]
    pub fn expire(self, context: &mut Context, key: usize) -> Option<Self> {
        match self {
            Self::Tcp(flow) => flow.expire(context),
            Self::Lookup(lookup) => lookup.try_next(context, key).map(Self::Lookup),
            Self::Arriving(flow) => flow.expire(context, key),
            _ => None,
        }
    }

    /// Whether it is a client of a published port.
    #[must_use]
    pub fn is_arrival(&self) -> bool {
        match self {
            Self::Tcp(flow) => flow.is_arrival,
            Self::Arriving(_) | Self::Visitor(_) => true,
            _ => false,
        }
    }

    /// The client whose datagrams it has, and where it arrived.
    #[must_use]
    pub fn visitor(&self) -> Option<(usize, SocketAddr)> {
        match self {
            Self::Visitor(flow) => Some(flow.client()),
            _ => None,
        }
    }
}
