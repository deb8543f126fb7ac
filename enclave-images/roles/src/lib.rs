//! What the agent and the program of its companions agree on: the roles' names, where the guest's API
//! listens, how listeners are handed over, and how the kernel's NSM is asked.
//!
//! `unsafe` is in `descriptor` and `nsm` alone: one system call each.
#![deny(unsafe_code)]

#[allow(unsafe_code)]
pub mod descriptor;
#[allow(unsafe_code)]
pub mod nsm;
pub mod tls_port;

/// The names of the roles: a companion's first argument, by which it knows what to do.
pub const NETD: &str = "cloister-netd";
pub const API: &str = "cloister-api";
pub const TLS: &str = "cloister-tls";
pub const INGRESS: &str = "cloister-ingress";
pub const PROXY: &str = "cloister-proxy";

/// The guest API's port on the guest's loopback.
pub const API_PORT: u16 = 9010;
/// The proxy's port on the guest's loopback.
pub const PROXY_PORT: u16 = 9011;
/// The guest API's unix socket.
pub const API_SOCKET: &str = "/run/cloister/api.sock";
