//! A proxy on the guest's loopback, for programs that are to name where they go: HTTP (CONNECT, and absolute form for
//! http://) and SOCKS5 (RFC 1928) on one port. What a program names is decided by that name, by the measured rules of
//! `egress` here and by the network card again.
//!
//! It runs as a process of its own, without privileges: what it gets is a listener and the policy. Its clients, the
//! network card and the servers are hostile: connections, heads, buffers and waiting are bounded.
//!
//! Reading order: `target` (where to), `way` and `lookup` (how, and whether), `front` (who is served), `socks` and
//! `socks_server`, `http`.
#![forbid(unsafe_code)]

mod front;
mod http;
mod lookup;
mod problem;
pub mod socks;
mod socks_server;
pub mod target;
mod way;

use cloister_egress_policy::Policy;
use front::Front;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use way::Way;

/// Serves until something fails. All connections together have at most about `buffer_bytes`.
///
/// # Errors
/// When the runtime cannot be made.
pub fn run(listener: TcpListener, policy: Policy, buffer_bytes: usize) -> io::Result<Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    listener.set_nonblocking(true)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Front::new(Way::new(policy), buffer_bytes)
            .serve(&listener)
            .await
    })
}
