//! The sockets that were handed out as `AF_VSOCK`. A table by cookie, the kernel's number for a socket that
//! is never used again; what has been closed is found out when the table has grown.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::sockopt::{socket_cookie, socket_domain};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::os::fd::OwnedFd;

use crate::address::Address;
use crate::live_sockets::live_unix_sockets;
use crate::options::Settings;

/// Sockets in the table before the closed ones are looked for.
const FIRST_SWEEP: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Neither connected nor listening.
    Fresh,
    Listening,
    Dialling,
    /// Connected, and connect(2) has not returned: it was interrupted.
    Untold {
        peer: Address,
    },
    Connected {
        peer: Address,
    },
    /// The dial failed after the unix socket was connected, which cannot be undone.
    Spent,
}

#[derive(Clone, Debug)]
pub struct Socket {
    pub inode: u64,
    pub local: Address,
    pub phase: Phase,
    pub settings: Settings,
}

pub struct Sockets {
    table: HashMap<u64, Socket>,
    sweep_at: usize,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            table: HashMap::new(),
            sweep_at: FIRST_SWEEP,
        }
    }
}

impl Sockets {
    /// Makes a socket that will pass for one of vsock.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn make(&mut self, flags: SocketFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        self.sweep();
        let socket = Socket {
            inode: inode_of(&fd)?,
            local: Address::UNBOUND,
            phase: Phase::Fresh,
            settings: Settings::default(),
        };
        self.table.insert(socket_cookie(&fd)?, socket);
        Ok(fd)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The socket behind a descriptor, if it is one of ours.
    pub fn find(&mut self, fd: BorrowedFd<'_>) -> Option<&mut Socket> {
        if socket_domain(fd) != Ok(AddressFamily::UNIX) {
            return None;
        }
        self.table.get_mut(&socket_cookie(fd).ok()?)
    }

    /// Lets `fd`, just made, take over from the socket `old`.
    pub fn take_over(&mut self, old: BorrowedFd<'_>, fd: BorrowedFd<'_>) {
        let Some((settings, local)) = self.find(old).map(|socket| (socket.settings, socket.local))
        else {
            return;
        };
        if let Ok(cookie) = socket_cookie(old) {
            self.table.remove(&cookie);
        }
        if let Some(socket) = self.find(fd) {
            (socket.settings, socket.local) = (settings, local);
        }
    }

    fn sweep(&mut self) {
        if self.table.len() < self.sweep_at {
            return;
        }
        if let Some(live) = live_unix_sockets() {
            self.table.retain(|_, socket| live.contains(&socket.inode));
        }
        self.sweep_at = FIRST_SWEEP.max(2 * self.table.len());
    }
}

/// # Errors
/// As fstat(2).
pub fn inode_of(fd: impl AsFd) -> Result<u64, Errno> {
    Ok(fstat(fd)?.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_sockets_that_were_closed() {
        let mut sockets = Sockets::default();
        let kept = sockets.make(SocketFlags::empty()).unwrap();
        for _ in 0..4 * FIRST_SWEEP {
            drop(sockets.make(SocketFlags::empty()).unwrap());
        }
        assert!(sockets.table.len() <= FIRST_SWEEP);
        assert!(sockets.find(kept.as_fd()).is_some());
    }

    #[test]
    fn knows_only_its_own() {
        let mut sockets = Sockets::default();
        let _ours = sockets.make(SocketFlags::empty()).unwrap();
        let (other, _) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(sockets.find(other.as_fd()).is_none());
    }
}
