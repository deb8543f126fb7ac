//! netd: the guest part of the network card. The agent hands over the device as descriptor 0 and the
//! policy as descriptor 1.

use crate::confine::confine;
use crate::memory::buffer_bytes;
use cloister_confine::sandbox::{self, Reach};
use cloister_egress_policy::policy::MAX_POLICY_BYTES;
use cloister_egress_policy::{PARENT_PORT, Policy};
use cloister_roles::NETD;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, connect, socket};
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A descriptor for each flow.
const MAX_DESCRIPTORS: u64 = 8192;
/// As on AWS.
const PARENT_CID: u32 = 3;

/// Relays until something fails.
pub fn relay() -> io::Result<Infallible> {
    confine(NETD, MAX_DESCRIPTORS)?;
    let policy = read_policy(io::stdout().as_fd().try_clone_to_owned()?)?;
    let device = io::stdin().as_fd().try_clone_to_owned()?;
    let relay = cloister_netd::ready(device, policy, Box::new(dial), buffer_bytes()?)?;
    sandbox::enter(Reach::Parent, false)?;
    relay()
}

/// The policy, in a descriptor that the agent has made.
pub fn read_policy(from: OwnedFd) -> io::Result<Policy> {
    let mut json = Vec::new();
    File::from(from)
        .take(MAX_POLICY_BYTES as u64 + 1)
        .read_to_end(&mut json)?;
    Policy::from_json(&json).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Begins to connect to the parent; the stream does not block, and is writable once it is connected.
fn dial() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Vsock, SockType::Stream, flags, None)?;
    match connect(stream.as_raw_fd(), &VsockAddr::new(PARENT_CID, PARENT_PORT)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(stream),
        Err(error) => Err(error.into()),
    }
}
