//! The network card: the host part of an enclave's network. Each stream of the guest (vsock port 9003, a unix socket
//! here) asks for one flow, which is connected with a plain socket when the policies allow it. There is no packet and
//! no network device on the host. The guest is never trusted: what it claims is checked against what was measured.
//!
//! The other way round, clients that arrive at published ports are each connected with one stream to the guest.
//!
//! Reading order: `judge` (the policies), `socket`, `pipe` and `outbox` (bytes), `flow` (one stream), `doors`,
//! `reception` and `dialler` (published ports), `engine` (all of them), `main`.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod channel;
pub mod context;
pub mod dialler;
pub mod doors;
pub mod engine;
pub mod explain;
pub mod flow;
pub mod judge;
pub mod outbox;
pub mod pace;
pub mod pipe;
pub mod poller;
pub mod reception;
pub mod refusals;
pub mod setup;
pub mod socket;
