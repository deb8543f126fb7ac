//! The guest part of published ports. For each client of a published port the network card (`cards/network`) opens a
//! vsock stream to here, and says which port of the guest the client wants; if the image declares the port, the stream
//! is connected with whatever listens there on the loopback.
//!
//! It runs as a process of its own, without privileges and confined: what it gets is a listener and the declaration. It
//! trusts neither the host nor the clients: streams, buffers and waiting are bounded.
//!
//! Reading order: `door` (who is let in), `program` (to whom), `relay` (TCP), `datagrams` (UDP).
#![forbid(unsafe_code)]

mod datagrams;
mod door;
mod program;
mod relay;

use cloister_ingress_wire::Ingress;
use door::Door;
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use tokio_vsock::VsockListener;

/// Makes the runtime. What it returns serves until something fails, in this thread, and needs no descriptors but
/// clients' and programs', so that the process can be confined before. `listener` is a listening vsock socket; all
/// buffers together have at most about `buffer_bytes`.
///
/// # Errors
/// When the runtime cannot be made.
pub fn ready(
    listener: OwnedFd,
    ingress: Ingress,
    buffer_bytes: usize,
) -> io::Result<impl FnOnce() -> io::Result<Infallible>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(move || {
        runtime.block_on(async {
            let listener = VsockListener::from(listener);
            Door::new(ingress, buffer_bytes).serve(&listener).await
        })
    })
}
