//! The guest's HTTP API. The agent hands over its listeners as descriptors 0 and 1.

use crate::confine::confine;
use cloister_guest_api::desk::AskNsm;
use cloister_roles::{API, nsm};
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

/// Both listeners' connections, and what the runtime needs.
const MAX_DESCRIPTORS: u64 = 256;

/// Serves until something fails.
pub fn serve() -> io::Result<Infallible> {
    confine(API, MAX_DESCRIPTORS)?;
    let tcp = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let unix = UnixListener::from(io::stdout().as_fd().try_clone_to_owned()?);
    cloister_guest_api::run(tcp, unix, nsm_of_all_users()?)
}

/// `/dev/nsm` as every user has it, from the kernel's driver or from the agent.
pub fn nsm_of_all_users() -> io::Result<AskNsm> {
    let device = nsm::open()?.ok_or(ErrorKind::NotFound)?;
    Ok(Box::new(move |request| nsm::call(&device, request)))
}
