//! The guest part of the network card. Programs see a network device and ordinary sockets; every TCP
//! connection and every pair of UDP sockets becomes one vsock stream to the host part (`cards/network`),
//! when the measured policy allows it. Names are answered by rule.
//!
//! It runs as a process of its own, without privileges: what it gets is the device's descriptor, the
//! policy, and a way to dial. It trusts neither the guest's packets nor the host part: both are bounded,
//! and neither can make it panic.
//!
//! Reading order: `packet` (what comes in), `rules` (what is decided), `router` (the loop), `connection`
//! and `stack` (TCP), `datagrams` (UDP), `resolver` and `inquiry` (names), `upstream` (the other side).
#![deny(unsafe_code)]

pub mod addresses;
mod answer;
mod budget;
mod connection;
mod datagrams;
pub mod device;
mod flow;
mod inquiry;
mod notices;
mod offload;
mod packet;
mod resolver;
mod router;
mod rules;
mod spares;
mod stack;
mod stale;
mod table;
mod tun;
mod upstream;
mod wakes;
#[allow(unsafe_code)]
mod writes;

use budget::Budget;
use cloister_egress_policy::Policy;
use nix::sys::epoll::EpollTimeout;
use router::Router;
use rules::Rules;
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use tun::Tun;
pub use upstream::Dial;
use writes::Writes;

/// Gets everything ready for which files are read. What it returns relays until the device fails, and opens
/// nothing but streams, so that the process can be confined before. `device` is a TUN device's descriptor,
/// nonblocking, with `IFF_VNET_HDR`; all buffers together have at most about `buffer_bytes`.
///
/// # Errors
/// When epoll fails, and later the device.
pub fn ready(
    device: OwnedFd,
    policy: Policy,
    dial: Dial,
    buffer_bytes: usize,
) -> io::Result<impl FnOnce() -> io::Result<Infallible>> {
    // Where the kernel has no such calls, packets are written one by one.
    let tun = Tun::new(device, Writes::new().ok());
    let router = router(tun, policy, dial, buffer_bytes)?;
    let stale = stale::connections();
    Ok(move || router.run(stale))
}

/// Does what is to be done now, each time it is called: [`ready`] in the hands of a fuzzer. It writes packets one by one:
/// to end a [`Writes`] takes the kernel longer than most of a fuzzer's runs.
///
/// # Errors
/// As [`ready`].
pub fn steps(
    device: OwnedFd,
    policy: Policy,
    dial: Dial,
    buffer_bytes: usize,
) -> io::Result<impl FnMut() -> io::Result<()>> {
    let mut router = router(Tun::new(device, None), policy, dial, buffer_bytes)?;
    Ok(move || router.turn(EpollTimeout::ZERO))
}

fn router(tun: Tun, policy: Policy, dial: Dial, buffer_bytes: usize) -> io::Result<Router> {
    let budget = Budget::new(buffer_bytes);
    Router::new(tun, dial, Rules::new(policy), budget)
}
