//! What the network card and the guest's ingress process have in common: which ports an image declares, what the card
//! says on a stream to the guest, and the header by which a program learns of its peer. Pure: no I/O, no `unsafe`.
//!
//! Reading order: `ports` (what is declared), `arrival` (the wire), `proxy_header`.
#![forbid(unsafe_code)]

mod arrival;
mod ports;
mod proxy_header;

pub use arrival::{ARRIVAL_BYTES, Arrival, Malformed};
pub use ports::{Ingress, Port, ProxyProtocol};
pub use proxy_header::proxy_header;

/// The guest's vsock port where its ingress process listens; only the network card dials it.
pub const GUEST_PORT: u32 = 9004;
