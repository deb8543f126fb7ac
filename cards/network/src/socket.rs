//! A nonblocking stream or datagram socket, and what is known of its readiness.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::poller::{Poller, Ready};

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Bytes(usize),
    /// A stream's end, or an empty datagram.
    Nothing,
    /// Not now; the poller will say when.
    Later,
}

#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    pub readable: bool,
    pub writable: bool,
    /// Shut in both directions, or in error.
    pub gone: bool,
    /// Whether reading may stop short of what there is.
    stops: bool,
    /// Whether the poller says when there is room.
    watches_room: bool,
}

impl Socket {
    /// One that is tried before it is waited for.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            readable: true,
            writable: true,
            gone: false,
            stops: false,
            watches_room: true,
        }
    }

    /// The guest's stream, which the poller was given as that.
    #[must_use]
    pub fn guest(fd: OwnedFd) -> Self {
        Self {
            watches_room: false,
            ..Self::new(fd)
        }
    }

    /// One that connects: nothing is tried before the poller says that it is ready.
    #[must_use]
    pub fn connecting(fd: OwnedFd) -> Self {
        Self {
            readable: false,
            writable: false,
            ..Self::new(fd)
        }
    }

    pub fn note(&mut self, ready: Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.gone |= ready.gone;
        self.stops |= ready.stops;
    }

    /// Has the poller say from now on when there is room, if there is none: a Unix socket has room again with each
    /// message that the other side takes, which would wake the card up each time.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn rewatch(&mut self, poller: &Poller, token: u64) -> io::Result<()> {
        if !self.watches_room && !self.writable {
            self.watches_room = true;
            poller.watch_room(&self.fd, token)?;
        }
        Ok(())
    }

    /// # Errors
    /// When the other side is gone.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        while self.readable {
            match recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Ok(Received::Nothing),
                Ok((_, count)) => return Ok(Received::Bytes(count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.readable = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Received::Later)
    }

    /// The same from a stream: one that brought less than there was room for has nothing left (epoll(7)).
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn receive_stream(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let received = self.receive(buffer)?;
        if let Received::Bytes(count) = received {
            self.readable = count == buffer.len() || self.stops;
        }
        Ok(received)
    }

    /// Sends what the kernel takes, which may be nothing.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.writable {
            match send(&self.fd, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.writable = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }

    /// Whether the other side has closed a Unix socket as a whole, also when the poller has not said so yet: such a
    /// socket takes no bytes, not even none.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        let nothing = send(&self.fd, &[], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        self.gone || matches!(nothing, Err(Errno::PIPE))
    }

    /// Ends what is sent; what is received goes on.
    pub fn finish(&self) {
        // One that is gone has nobody who could miss the end.
        let _ = shutdown(&self.fd, Shutdown::Write);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
