//! A stream to the host part: the request, its answer, then bytes. Watched edge-triggered: what is
//! readable or writable stays so until a call would have blocked.

use cloister_egress_policy::wire::{Request, Status};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::sockopt::SocketError;
use nix::sys::socket::{MsgFlags, Shutdown, getsockopt, recv, send, shutdown};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Opens a stream to the host part: nonblocking, and maybe not yet connected.
pub type Dial = Box<dyn Fn() -> io::Result<OwnedFd>>;

pub struct Upstream {
    stream: OwnedFd,
    /// What of the request is still to be sent; `None` once it is answered.
    request: Option<Vec<u8>>,
    is_readable: bool,
    is_writable: bool,
    /// The host part has ended the stream, or it is broken.
    is_ended: bool,
}

impl Upstream {
    pub fn open(dial: &Dial, request: &Request) -> io::Result<Self> {
        Ok(Self {
            stream: dial()?,
            request: Some(request.encode()),
            is_readable: false,
            is_writable: false,
            is_ended: false,
        })
    }

    /// Notes what epoll says.
    pub fn note(&mut self, events: EpollFlags) {
        let broken = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
        self.is_ended |= events.intersects(EpollFlags::EPOLLRDHUP | broken);
        self.is_readable |= self.is_ended || events.contains(EpollFlags::EPOLLIN);
        self.is_writable |= events.intersects(EpollFlags::EPOLLOUT | broken);
    }

    /// Asks, and looks for the answer; `None` while there is none.
    ///
    /// # Errors
    /// When the stream breaks, or answers with something unknown.
    pub fn answer(&mut self) -> io::Result<Option<Status>> {
        if !self.is_writable {
            return Ok(None);
        }
        let failure = getsockopt(&self.stream, SocketError)?;
        if failure != 0 {
            return Err(io::Error::from_raw_os_error(failure));
        }
        while let Some(left) = self.request.take_if(|left| !left.is_empty()) {
            let sent = match self.send(&left) {
                // One that has no room for a flow answers without reading, and hangs up.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => left.len(),
                sent => sent?,
            };
            self.request = Some(left[sent..].to_vec());
            if sent == 0 {
                return Ok(None);
            }
        }
        let mut status = [0];
        match self.receive(&mut status)? {
            Received::Nothing => Ok(None),
            Received::End => Err(ErrorKind::UnexpectedEof.into()),
            Received::Bytes(_) => {
                self.request = None;
                let status = Status::from_byte(status[0]);
                status.map(Some).ok_or(ErrorKind::InvalidData.into())
            }
        }
    }

    /// Sends what there is room for; 0 when there is none.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_writable {
            return Ok(0);
        }
        match uninterrupted(|| send(self.stream.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL)) {
            Err(Errno::EAGAIN) => {
                self.is_writable = false;
                Ok(0)
            }
            result => Ok(result?),
        }
    }

    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if !self.is_readable {
            return Ok(Received::Nothing);
        }
        match uninterrupted(|| recv(self.stream.as_raw_fd(), buffer, MsgFlags::empty())) {
            Ok(0) => Ok(Received::End),
            Ok(count) => {
                // Less than there was room for: nothing is left but an end that epoll has told of (epoll(7)).
                self.is_readable = count == buffer.len() || self.is_ended;
                Ok(Received::Bytes(count))
            }
            Err(Errno::EAGAIN) => {
                self.is_readable = false;
                Ok(Received::Nothing)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the host part that nothing more will come.
    pub fn end(&self) {
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Write);
    }

    /// Whether the host part has closed the stream as a whole: then it takes no bytes, not even none.
    pub fn is_closed(&self) -> bool {
        let nothing = send(self.stream.as_raw_fd(), &[], MsgFlags::MSG_NOSIGNAL);
        matches!(nothing, Err(Errno::EPIPE))
    }

    pub fn is_readable(&self) -> bool {
        self.is_readable
    }

    pub fn is_writable(&self) -> bool {
        self.is_writable
    }
}

/// Has epoll tell of a stream, edge-triggered, under this number.
pub fn watch(epoll: &Epoll, stream: impl AsFd, number: u64) -> io::Result<()> {
    let flags =
        EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    Ok(epoll.add(stream, EpollEvent::new(flags, number))?)
}

fn uninterrupted(mut call: impl FnMut() -> nix::Result<usize>) -> nix::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Bytes(usize),
    Nothing,
    End,
}

impl AsFd for Upstream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{Dial, Upstream};
    use cloister_egress_policy::wire::{Request, Status};
    use nix::sys::epoll::EpollFlags;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;

    #[test]
    fn a_host_part_that_refuses_before_it_reads_and_hangs_up_is_heard() {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = Mutex::new(Some(near));
        let dial: Dial = Box::new(move || Ok(near.lock().unwrap().take().unwrap().into()));
        let mut upstream = Upstream::open(&dial, &Request::Dns).unwrap();
        far.write_all(&[Status::TooManyFlows.to_byte()]).unwrap();
        drop(far);
        upstream.note(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP);
        assert_eq!(upstream.answer().unwrap(), Some(Status::TooManyFlows));
    }
}
