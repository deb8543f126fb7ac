//! The proxy to what `egress` allows. The agent hands over the listener as descriptor 0 and the policy as descriptor 1.

use crate::confine::confine;
use crate::memory::buffer_bytes;
use crate::netd::read_policy;
use cloister_roles::PROXY;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;

/// Two for each of 512 clients, and for lookups.
const MAX_DESCRIPTORS: u64 = 4096;

/// Serves until something fails.
pub fn serve() -> io::Result<Infallible> {
    confine(PROXY, MAX_DESCRIPTORS)?;
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let policy = read_policy(io::stdout().as_fd().try_clone_to_owned()?)?;
    cloister_proxy::run(listener, policy, buffer_bytes()?)
}
