//! Attested TLS in front of a program of the guest: TLS 1.3 with a key that is made here and never leaves,
//! HTTP/1.1 and HTTP/2 passed on to the program's port on the guest's loopback, and documents that bind the
//! key, or one connection, at /.well-known/attestation (docs/attested-tls.md).
//!
//! It runs as a process of its own, without privileges: what it gets is listeners and a way to ask the NSM.
//! Its clients are hostile: connections, heads, buffers, documents and waiting are bounded.
//!
//! Reading order: `identity` (key and certificate), `front` (who is served), `connection` (TLS and HTTP),
//! `exchange` (which request goes where), `idle` (whose turn it is), `attestation` (documents), `forward` and
//! `headers` (the program).
#![forbid(unsafe_code)]

mod attestation;
mod connection;
mod exchange;
mod forward;
mod front;
pub mod headers;
mod identity;
mod idle;
mod problem;

use cloister_guest_api::desk::{AskNsm, Desk};
use front::Front;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

/// A port with attested TLS, and the program behind it.
pub struct Served {
    /// A listening vsock socket.
    pub vsock: OwnedFd,
    /// The same port of the guest's loopback.
    pub tcp: TcpListener,
    /// The program's port on the guest's loopback.
    pub to: u16,
}

/// Serves all ports until something fails. All connections together have at most about `buffer_bytes`.
///
/// # Errors
/// When the runtime or a key cannot be made.
pub fn run(ports: Vec<Served>, ask: AskNsm, buffer_bytes: usize) -> io::Result<Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let desk = Desk::open(ask)?;
    runtime.block_on(async { Front::new(desk, buffer_bytes)?.serve(ports).await })
}
