//! What becomes of a flow, and what all flows share.

use crate::answer::{self, Unreachable};
use crate::budget::Budget;
use crate::packet::{Header, TCP, UDP};
use crate::tun::Tun;
use cloister_egress_policy::wire::Status;
use std::time::Instant;

/// What a flow needs to get on.
pub struct Surroundings<'a> {
    pub tun: &'a mut Tun,
    /// Room for what is received.
    pub scratch: &'a mut [u8],
    pub clock: Clock,
    pub budget: &'a mut Budget,
}

/// The time, for this program and for smoltcp.
#[derive(Clone, Copy)]
pub struct Clock {
    start: Instant,
    pub now: Instant,
}

impl Clock {
    pub fn start() -> Self {
        let now = Instant::now();
        Self { start: now, now }
    }

    pub fn advance(&mut self) {
        self.now = Instant::now();
    }

    pub fn stack_time(&self) -> smoltcp::time::Instant {
        let elapsed = self.now.duration_since(self.start);
        smoltcp::time::Instant::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }

    /// Never in the past.
    pub fn instant_of(&self, time: smoltcp::time::Instant) -> Instant {
        let elapsed = u64::try_from(time.total_micros()).unwrap_or(0);
        (self.start + std::time::Duration::from_micros(elapsed)).max(self.now)
    }
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// When something happens, at the latest then.
    Waits(Option<Instant>),
    /// Soon: there is more to do than is fair at once.
    Continues,
    Over,
}

/// Tells a program why the flow that `packet` began goes nowhere.
pub fn refuse(packet: &[u8], status: Status, tun: &mut Tun) {
    let why = match status {
        Status::HostUnreachable | Status::TimedOut => Unreachable::Host,
        Status::DeniedByImage | Status::DeniedByHost => return deny(packet, tun),
        Status::ConnectionRefused => return refuse_connection(packet, tun),
        Status::Ok | Status::NetworkUnreachable | Status::TooManyFlows | Status::Malformed => {
            Unreachable::Network
        }
    };
    send_unreachable(packet, why, tun);
}

/// Tells a program that a policy denies it. No message of IPv4's ICMP becomes EACCES, so TCP and UDP hear ECONNREFUSED
/// there.
pub fn deny(packet: &[u8], tun: &mut Tun) {
    let header = Header::parse(packet);
    if header.is_some_and(|it| it.source.is_ipv4() && [TCP, UDP].contains(&it.protocol)) {
        refuse_connection(packet, tun);
    } else {
        send_unreachable(packet, Unreachable::Prohibited, tun);
    }
}

/// TCP's answer is a reset, UDP's that the port is not there.
pub fn refuse_connection(packet: &[u8], tun: &mut Tun) {
    match answer::reset(packet) {
        Some(reset) => tun.send(&reset),
        None => send_unreachable(packet, Unreachable::Port, tun),
    }
}

pub fn send_unreachable(packet: &[u8], why: Unreachable, tun: &mut Tun) {
    if let Some(error) = answer::unreachable(packet, why) {
        tun.send(&error);
    }
}
