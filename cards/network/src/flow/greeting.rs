//! A stream whose request is not whole yet, and what becomes of it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::{Request, Status};

use super::connect::{dial, status_of, target};
use super::{DnsFlow, Flow, TcpFlow, UdpFlow};
use crate::context::{Context, token};
use crate::socket::{Received, Socket};

/// A request comes in one piece, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Read at once: a request, and what a guest in a hurry sends behind it.
const READ_BYTES: usize = 4096;

pub struct Greeting {
    pub guest: Socket,
    pub deadline: Instant,
    inbox: Vec<u8>,
}

impl Greeting {
    #[must_use]
    pub fn new(stream: OwnedFd, now: Instant) -> Self {
        Self {
            guest: Socket::guest(stream),
            deadline: now + PATIENCE,
            inbox: Vec::new(),
        }
    }

    #[must_use]
    pub fn work(mut self, context: &mut Context, key: usize) -> Option<Flow> {
        loop {
            match Request::decode(&self.inbox) {
                Err(_) => return self.end(Status::Malformed),
                Ok(Some((request, length))) => {
                    let rest = self.inbox.split_off(length);
                    return self.start(request, &rest, context, key);
                }
                Ok(None) => {}
            }
            match self.guest.receive(&mut context.buffer[..READ_BYTES]) {
                Ok(Received::Bytes(count)) => {
                    self.inbox.extend_from_slice(&context.buffer[..count]);
                }
                Ok(Received::Later) => return Some(Flow::Greeting(self)),
                Ok(Received::Nothing) | Err(_) => return None,
            }
        }
    }

    fn start(
        mut self,
        request: Request,
        rest: &[u8],
        context: &mut Context,
        key: usize,
    ) -> Option<Flow> {
        let Request::Flow {
            protocol,
            address,
            port,
            name,
        } = request
        else {
            tell(&mut self.guest, Status::Ok);
            let number = context.next_number();
            return Flow::Dns(DnsFlow::new(self.guest, number, rest)).work(context, key);
        };
        let asked = (protocol, address, port);
        if let Err(refusal) = context.judge.decide(asked, name.as_ref(), context.now) {
            let status = refusal.status;
            context.refuse(refusal);
            return self.end(status);
        }
        let socket = match dial(protocol, target(address, port)) {
            Ok(socket) => socket,
            Err(error) => {
                context.counters.failed += 1;
                return self.end(status_of(&error.into()));
            }
        };
        if context.poller.add(&socket, token(key, false)).is_err() {
            return self.end(Status::TooManyFlows);
        }
        match protocol {
            Protocol::Tcp => {
                context.counters.tcp_flows += 1;
                let flow = TcpFlow::new(self.guest, socket, rest, context.now);
                Some(Flow::Tcp(flow))
            }
            Protocol::Udp => {
                context.counters.udp_flows += 1;
                tell(&mut self.guest, Status::Ok);
                let flow = UdpFlow::new(self.guest, socket, rest, context.now);
                Flow::Udp(flow).work(context, key)
            }
        }
    }

    fn end(mut self, status: Status) -> Option<Flow> {
        tell(&mut self.guest, status);
        None
    }
}

/// Answers a request: the first byte on a stream always fits.
pub fn tell(guest: &mut Socket, status: Status) {
    guest.writable = true;
    // A guest that is gone needs no answer.
    let _ = guest.send(&[status.to_byte()]);
}
