//! The guest's HTTP API: what programs ask the NSM and the agent for, in any language, without ioctl.
//! HTTP/1.1 on a port of the loopback and on a unix socket; described by docs/guest-api.openapi.json.
//!
//! It runs as a process of its own, without privileges: what it gets is two listeners and a way to ask
//! the NSM. Its clients are hostile: their number, their requests' sizes and rates, and the time that
//! each may take are bounded, and none can make it panic.
//!
//! Reading order: `listeners` (who is served), `routes` (what is asked), `query` and `accept` (how),
//! `attest`, `random`, `clock` and `configuration` (what is answered), `nsm` and `desk` (from where).
#![forbid(unsafe_code)]

pub mod accept;
pub mod attest;
mod clock;
mod configuration;
pub mod desk;
mod listeners;
pub mod nsm;
pub mod problem;
pub mod query;
pub mod quota;
mod random;
pub mod reply;
mod routes;

use desk::{AskNsm, Desk};
use listeners::Listeners;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

/// Serves both listeners until something fails.
///
/// # Errors
/// When the runtime cannot be made.
pub fn run(tcp: TcpListener, unix: UnixListener, ask: AskNsm) -> io::Result<Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let desk = Desk::open(ask)?;
    runtime.block_on(async { Listeners::new(tcp, unix)?.serve(desk).await })
}
