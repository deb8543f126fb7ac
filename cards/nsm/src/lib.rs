//! The NSM card: a vhost-user back end with virtio device id 33, for AWS's driver (Linux
//! drivers/misc/nsm.c), which makes `/dev/nsm` and a hardware random number generator of it. The
//! card knows nothing of the NSM's requests: it carries them to the keeper and the answers back.
//!
//! Reading order: `chain` (the only code that touches guest memory), `device` (which answer goes
//! into which buffer), `channel` (to the keeper), `backend` (the worker), `main`.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod backend;
pub mod chain;
pub mod channel;
pub mod device;
