//! accept(2) on a port of the parent. The supervisor accepts, because the kernel would give a unix
//! socket's address; it waits where the program waits, and stops when the program does.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, socket_peercred, socket_timeout};
use rustix::net::{SocketAddrUnix, SocketFlags, accept_with, getpeername};

use crate::address::{Address, CID_LOCAL, parse_card_name};
use crate::call::{Answer, Call, Outcome};
use crate::caller::{share_descriptor, write_address};
use crate::registry::Registry;
use crate::sockets::{Phase, Sockets, inode_of};

/// Calls that wait at once; more get `ENOBUFS`.
const MAX_WAITING: usize = 4096;

pub struct Waiting {
    pub call: Call,
    pub listener: OwnedFd,
    pub deadline: Option<Instant>,
    flags: SocketFlags,
}

#[derive(Default)]
pub struct Accepts {
    pub waiting: Vec<Waiting>,
    /// Connections whose caller had gone, or had no descriptor left, by their listener's inode.
    undelivered: Vec<(u64, OwnedFd)>,
}

impl Accepts {
    /// accept(2) and accept4(2).
    ///
    /// # Errors
    /// As accept(2).
    pub fn begin(&mut self, call: &Call, sockets: &mut Sockets, peers: &mut Peers<'_>) -> Outcome {
        let Ok(listener) = share_descriptor(call) else {
            return Ok(Answer::Pass);
        };
        let Some(socket) = sockets.find(listener.as_fd()) else {
            return Ok(Answer::Pass);
        };
        if socket.phase != Phase::Listening {
            return Err(Errno::INVAL);
        }
        let waiting = Waiting {
            call: *call,
            flags: flags_of(call)?,
            deadline: None,
            listener,
        };
        match self.proceed(&waiting, peers) {
            Ok(Answer::Wait) => self.park(waiting),
            outcome => outcome,
        }
    }

    /// Goes on with a call that waits.
    ///
    /// # Errors
    /// As accept(2).
    pub fn proceed(&mut self, waiting: &Waiting, peers: &mut Peers<'_>) -> Outcome {
        let listener = waiting.listener.as_fd();
        let Some(connection) = self.next_connection(listener)? else {
            return Ok(Answer::Wait);
        };
        if waiting.flags.contains(SocketFlags::NONBLOCK) {
            rustix::io::ioctl_fionbio(&connection, true)?;
        }
        write_address(&waiting.call, peers.address_of(connection.as_fd()))?;
        Ok(Answer::Descriptor {
            socket: connection,
            close_on_exec: waiting.flags.contains(SocketFlags::CLOEXEC),
        })
    }

    /// Keeps a connection that could not be handed over for the next call.
    pub fn keep(&mut self, listener: BorrowedFd<'_>, connection: OwnedFd) {
        if let (Ok(inode), true) = (inode_of(listener), self.undelivered.len() < MAX_WAITING) {
            let _ = rustix::io::ioctl_fionbio(&connection, false);
            self.undelivered.push((inode, connection));
        }
    }

    fn next_connection(&mut self, listener: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
        let inode = inode_of(listener)?;
        if let Some(index) = self.undelivered.iter().position(|(of, _)| *of == inode) {
            return Ok(Some(self.undelivered.remove(index).1));
        }
        if !is_readable(listener) {
            return Ok(None);
        }
        accept_with(listener, SocketFlags::CLOEXEC).map(Some)
    }

    fn park(&mut self, mut waiting: Waiting) -> Outcome {
        if fcntl_getfl(&waiting.listener)?.contains(OFlags::NONBLOCK) {
            return Err(Errno::AGAIN);
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(Errno::NOBUFS);
        }
        let patience = socket_timeout(&waiting.listener, Timeout::Recv)?;
        waiting.deadline = patience.map(|patience| Instant::now() + patience);
        self.waiting.push(waiting);
        Ok(Answer::Wait)
    }
}

fn flags_of(call: &Call) -> Result<SocketFlags, Errno> {
    let flags = if call.number == libc::SYS_accept4 {
        call.int(3)
    } else {
        0
    };
    let known = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    SocketFlags::from_bits(flags as u32)
        .filter(|flags| known.contains(*flags))
        .ok_or(Errno::INVAL)
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}

/// Who dialled a port of the parent: the enclave whose card the other end belongs to.
pub struct Peers<'a> {
    pub registry: &'a Registry,
    /// CIDs by the process of their card.
    pub cards: &'a mut HashMap<i32, u32>,
}

impl Peers<'_> {
    /// The kernel tells the process, the records whose card it is, and the card its guest's port only: a
    /// card that was taken over may name any CID. A client that is not an enclave's card is on this host.
    pub fn address_of(&mut self, connection: BorrowedFd<'_>) -> Address {
        let process = socket_peercred(connection).map_or(0, |peer| peer.pid.as_raw_nonzero().get());
        Address {
            cid: self.cid_of(process).unwrap_or(CID_LOCAL),
            port: card_name(connection).map_or(0, |named| named.port),
        }
    }

    fn cid_of(&mut self, card: i32) -> Option<u32> {
        if !self.cards.contains_key(&card) {
            let enclaves = self.registry.enclaves();
            let cards = enclaves
                .iter()
                .filter_map(|enclave| Some((enclave.card?, enclave.cid)));
            *self.cards = cards.collect();
        }
        self.cards.get(&card).copied()
    }
}

fn card_name(connection: BorrowedFd<'_>) -> Option<Address> {
    let name = SocketAddrUnix::try_from(getpeername(connection).ok()??).ok()?;
    parse_card_name(name.abstract_name()?)
}
