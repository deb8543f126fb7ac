//! The host's own `AF_VSOCK`, where programs listen that were written for it: vsock(7)'s loopback,
//! CID 1. A socket is bound to that CID before it connects, which the kernel allows only where it has
//! a loopback. Without one, CID 1 of a host that is a guest itself would lead out to its hypervisor.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, bind, connect, socket};

/// `VMADDR_CID_LOCAL`, linux/vm_sockets.h.
const LOOPBACK_CID: u32 = 1;
/// `VMADDR_PORT_ANY`.
const ANY_PORT: u32 = u32::MAX;
/// Source ports of one enclave: `CID * 512` and up.
const PORTS_PER_CID: u32 = 512;

/// How one enclave dials there.
pub struct HostVsock {
    /// The first source port; absent for a CID so high that it has no block.
    first_port: Option<u32>,
    next: u32,
}

impl HostVsock {
    #[must_use]
    pub fn new(guest_cid: u64) -> Self {
        let cid = u32::try_from(guest_cid).ok();
        Self {
            first_port: cid
                .and_then(|cid| cid.checked_mul(PORTS_PER_CID))
                .filter(|first| first.checked_add(PORTS_PER_CID).is_some()),
            next: 0,
        }
    }

    /// Whether this host has a loopback.
    ///
    /// # Errors
    /// What the kernel says when it has none.
    pub fn probe() -> io::Result<()> {
        let socket = open()?;
        Ok(bind_to(&socket, ANY_PORT)?)
    }

    /// Starts to connect to a port of the host. The socket becomes writable once the listener has
    /// answered, or has an error.
    ///
    /// # Errors
    /// When nobody listens there, the host has no loopback, or every source port of the enclave is in use.
    pub fn dial(&mut self, port: u32) -> io::Result<OwnedFd> {
        let socket = open()?;
        self.bind(&socket)?;
        match connect(socket.as_raw_fd(), &VsockAddr::new(LOOPBACK_CID, port)) {
            Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the socket a source port that names the enclave, and never one that names another.
    fn bind(&mut self, socket: &OwnedFd) -> nix::Result<()> {
        let Some(first) = self.first_port else {
            return bind_to(socket, ANY_PORT);
        };
        for _ in 0..PORTS_PER_CID {
            let port = first + self.next;
            self.next = (self.next + 1) % PORTS_PER_CID;
            match bind_to(socket, port) {
                Err(Errno::EADDRINUSE) => {}
                outcome => return outcome,
            }
        }
        Err(Errno::EADDRINUSE)
    }
}

fn open() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Vsock, SockType::Stream, flags, None)
}

fn bind_to(socket: &OwnedFd, port: u32) -> nix::Result<()> {
    bind(socket.as_raw_fd(), &VsockAddr::new(LOOPBACK_CID, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cid_that_the_keeper_chooses_has_source_ports_of_its_own() {
        let highest = 65536 + (1 << 22);
        for cid in [4, 16, 65536, highest] {
            let first = HostVsock::new(cid).first_port.unwrap();
            assert_eq!(u64::from(first / PORTS_PER_CID), cid);
            assert!(first > 1023, "{first} is privileged");
        }
        assert_eq!(HostVsock::new(u64::from(u32::MAX) - 1).first_port, None);
    }
}
