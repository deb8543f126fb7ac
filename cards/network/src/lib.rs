//! The network card: the host part of an enclave's network. Each stream of the guest (vsock port 9003, a unix socket
//! here) asks for one flow, which is connected with a plain socket when the policies allow it. There is no packet and
//! no network device on the host. The guest is never trusted: what it claims is checked against what was measured.
//!
//! Reading order: `judge` (the policies), `socket`, `pipe` and `outbox` (bytes), `flow` (one stream), `engine` (all of
//! them), `main`.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod channel;
pub mod context;
pub mod engine;
pub mod explain;
pub mod flow;
pub mod judge;
pub mod outbox;
pub mod pipe;
pub mod poller;
pub mod refusals;
pub mod setup;
pub mod socket;
