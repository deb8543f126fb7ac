//! How the card comes by streams to the guest for clients of published ports. It is in the host's network, so it makes
//! no unix sockets: a process of its own (`process`) dials the vsock card and passes on the descriptors.
//!
//! Each byte asks for a stream. The answers come in the same order: a byte with a descriptor, or without where the vsock
//! card has no place for another stream.

pub mod process;

use std::collections::VecDeque;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};

use crate::context::Asker;

pub struct Dialler {
    /// Of the process, for the keeper to list.
    pub pid: u32,
    socket: UnixStream,
    /// Who waits for an answer.
    asked: VecDeque<Asker>,
    /// Whether its root is a directory of its own, and its network empty.
    pub has_private_root: bool,
}

/// A stream, or nothing where there was no place for one.
pub type Answer = (Asker, Option<OwnedFd>);

impl Dialler {
    /// Starts the process, and waits until it is confined.
    ///
    /// # Errors
    /// When it cannot be started or confined.
    pub fn start() -> io::Result<Self> {
        let (mut socket, theirs) = UnixStream::pair()?;
        let process = Command::new("/proc/self/exe")
            .arg("--dial")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        let mut has_private_root = [0];
        socket.read_exact(&mut has_private_root)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            pid: process.id(),
            socket,
            asked: VecDeque::new(),
            has_private_root: has_private_root == [1],
        })
    }

    /// Asks for a stream; false when too many have asked.
    pub fn ask(&mut self, asker: Asker) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // A process that has ended is noticed by reading.
        let is_asked = send(&self.socket, &[0], flags).is_ok();
        if is_asked {
            self.asked.push_back(asker);
        }
        is_asked
    }

    /// The next answer; nothing when there is none now.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn answer(&mut self) -> io::Result<Option<Answer>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let byte = &mut [0];
        let mut into = [IoSliceMut::new(byte)];
        let received = loop {
            match recvmsg(&self.socket, &mut into, &mut ancillary, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                received => break received?,
            }
        };
        let asker = self.asked.pop_front().filter(|_| received.bytes > 0);
        let asker = asker.ok_or_else(|| io::Error::other("the process that dials has ended"))?;
        let stream = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut streams) => streams.next(),
            _ => None,
        });
        Ok(Some((asker, stream)))
    }
}

impl AsFd for Dialler {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
