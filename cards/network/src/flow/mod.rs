//! One stream of the guest, from its request to its end, and the look-ups that streams ask for.

mod connect;
mod dns;
mod greeting;
mod lookup;
mod tcp;
mod udp;

pub use dns::DnsFlow;
pub use greeting::{Greeting, tell};
pub use lookup::{Lookup, failure};
pub use tcp::TcpFlow;
pub use udp::UdpFlow;

use std::time::Instant;

use crate::context::Context;
use crate::poller::Ready;

pub enum Flow {
    /// Its request is not whole yet.
    Greeting(Greeting),
    Tcp(TcpFlow),
    Udp(UdpFlow),
    Dns(DnsFlow),
    /// A question to a resolver.
    Lookup(Lookup),
    /// Taken out for its turn.
    Away,
}

impl Flow {
    /// Notes that one of its sockets turned ready.
    pub fn note(&mut self, is_guest: bool, ready: Ready) {
        match self {
            Self::Greeting(flow) => flow.guest.note(ready),
            Self::Tcp(flow) => flow.socket(is_guest).note(ready),
            Self::Udp(flow) => flow.socket(is_guest).note(ready),
            Self::Dns(flow) => flow.guest.note(ready),
            Self::Lookup(lookup) => lookup.note(ready),
            Self::Away => {}
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
            Self::Dns(_) | Self::Away => None,
        }
    }

    /// Its deadline has passed: it gives up, or tries once more.
    #[must_use]
    pub fn expire(self, context: &mut Context, key: usize) -> Option<Self> {
        match self {
            Self::Tcp(flow) => flow.expire(context),
            Self::Lookup(lookup) => lookup.try_next(context, key).map(Self::Lookup),
            _ => None,
        }
    }
}
