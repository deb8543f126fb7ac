//! A stream to the host part: the request, its answer, then bytes. Watched edge-triggered: what is readable or writable
//! stays so until a call would have blocked. That there is room again is watched for only from then on: otherwise each
//! message that the other side takes would wake netd up.

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
    /// Whether epoll tells of room.
    watches_room: bool,
    /// Once it had no room, it will have none again.
    has_been_full: bool,
    /// The host part has ended the stream, or it is broken.
    is_ended: bool,
}

impl Upstream {
    pub fn open(dial: &Dial, request: &Request) -> io::Result<Self> {
        let (stream, mut request) = (dial()?, request.encode());
        // One that is still connecting refuses, and is asked once it is connected.
        let sent = send(stream.as_raw_fd(), &request, MsgFlags::MSG_NOSIGNAL).unwrap_or(0);
        request.drain(..sent);
        let is_asked = request.is_empty();
        Ok(Self {
            stream,
            request: Some(request),
            is_readable: false,
            is_writable: is_asked,
            watches_room: !is_asked,
            has_been_full: false,
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
        if self.request.as_ref().is_some_and(|left| !left.is_empty()) {
            self.check_connected()?;
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

    fn check_connected(&self) -> io::Result<()> {
        match getsockopt(&self.stream, SocketError)? {
            0 => Ok(()),
            failure => Err(io::Error::from_raw_os_error(failure)),
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
                self.has_been_full = true;
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

    fn watched(&self) -> EpollFlags {
        let mut flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        flags.set(EpollFlags::EPOLLOUT, self.watches_room);
        flags
    }

    /// Has epoll always tell of room, once it is watched: one for which nobody calls [`Self::rewatch`].
    pub fn watching_room(self) -> Self {
        Self {
            watches_room: true,
            ..self
        }
    }

    /// Has epoll tell of room while it connects, and from when it is full.
    pub fn rewatch(&mut self, epoll: &Epoll, number: u64) -> io::Result<()> {
        let needs_room = self.has_been_full || !self.is_writable;
        if self.watches_room != needs_room {
            self.watches_room = needs_room;
            let mut event = EpollEvent::new(self.watched(), number);
            epoll.modify(&self.stream, &mut event)?;
        }
        Ok(())
    }

    pub fn is_readable(&self) -> bool {
        self.is_readable
    }

    pub fn is_writable(&self) -> bool {
        self.is_writable
    }
}

/// Has epoll tell of a stream, edge-triggered, under this number.
pub fn watch(epoll: &Epoll, stream: &Upstream, number: u64) -> io::Result<()> {
    Ok(epoll.add(stream, EpollEvent::new(stream.watched(), number))?)
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
    use super::{Dial, Upstream, watch};
    use cloister_egress_policy::wire::{Request, Status};
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;

    fn opened() -> (Upstream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let near = Mutex::new(Some(near));
        let dial: Dial = Box::new(move || Ok(near.lock().unwrap().take().unwrap().into()));
        (Upstream::open(&dial, &Request::Dns).unwrap(), far)
    }

    #[test]
    fn room_is_told_of_only_after_there_was_none() {
        let (mut upstream, mut far) = opened();
        let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
        let told = || {
            let wait = epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO);
            wait.unwrap()
        };
        watch(&epoll, &upstream, 0).unwrap();
        let mut taken = [0; 4096];
        assert!(far.read(&mut taken).unwrap() > 0, "the request");
        assert_eq!(told(), 0);
        while upstream.send(&taken).unwrap() > 0 {}
        upstream.rewatch(&epoll, 0).unwrap();
        assert_eq!(told(), 0);
        while far.read(&mut taken).is_ok() {}
        assert_eq!(told(), 1);
    }

    #[test]
    fn a_host_part_that_refuses_before_it_reads_and_hangs_up_is_heard() {
        let (mut upstream, mut far) = opened();
        far.write_all(&[Status::TooManyFlows.to_byte()]).unwrap();
        drop(far);
        upstream.note(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP);
        assert_eq!(upstream.answer().unwrap(), Some(Status::TooManyFlows));
    }
}
