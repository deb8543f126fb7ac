//! The vsock card: a vhost-user-vsock back end for one enclave (virtio 1.2 section 5.10). The host
//! side is unix sockets, so that file permissions are the access control, and on request the host's own
//! `AF_VSOCK`, by its loopback or by a CID of the kernel's; the guest reaches its parent at CID 3, as on AWS, and at CID 2.
//!
//! Reading order: `packet` and `credit` (pure), `guest_queue` (the only code that touches guest
//! memory), `connection` (one stream), `device` (all of them), `backend` (the worker), `main`.
#![deny(unsafe_code)]

pub use cloister_confine::{inherited, private_root, sandbox};

pub mod arguments;
pub mod backend;
pub mod channel;
pub mod connection;
pub mod counters;
pub mod credit;
pub mod device;
pub mod greeting;
pub mod guest_queue;
pub mod host_vsock;
pub mod kernel;
pub mod limits;
pub mod packet;
pub mod patience;
pub mod policy;
pub mod reactor;
pub mod refusals;
