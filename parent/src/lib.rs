//! Runs a program whose `AF_VSOCK` is answered by the enclaves of this host: a seccomp filter reports
//! the program's socket calls, and the supervisor makes unix sockets of the enclaves' vsock cards
//! out of them (docs/parent-programs.md). A compatibility shim, not a sandbox: the supervisor reads
//! arguments out of the program's memory, which the program may change meanwhile.
#![deny(unsafe_code)]

pub mod accept;
pub mod address;
pub mod arguments;
pub mod call;
pub mod caller;
pub mod dial;
pub mod failure;
pub mod filter;
pub mod kernel;
pub mod live_sockets;
pub mod options;
pub mod ports;
pub mod registry;
pub mod sockets;
pub mod supervisor;
