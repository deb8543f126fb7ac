//! Published ports: sockets of the host that the keeper has bound, at which clients of the guest arrive.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use cloister_confine::inherited::take_inherited;
use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::Status;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, SocketFlags, acceptfrom_with, getsockname, listen, recvfrom, sendto,
};

use crate::setup::Published;

/// Clients that wait while others are served; the kernel has a limit of its own.
const BACKLOG: i32 = 4096;

pub struct Door {
    socket: Rc<OwnedFd>,
    pub protocol: Protocol,
    pub guest_port: NonZeroU16,
    pub address: SocketAddr,
    /// What the keeper was told of clients that were turned away here.
    told: HashSet<u8>,
}

impl Door {
    /// Takes an inherited socket, before any other descriptor is opened.
    ///
    /// # Errors
    /// When it is not a bound socket of that kind.
    pub fn open(published: Published) -> io::Result<Self> {
        let Published {
            fd,
            protocol,
            guest_port,
        } = published;
        let socket = take_inherited(fd)?;
        let address: SocketAddr = getsockname(&socket)?.try_into()?;
        if address.port() == 0 {
            return Err(io::Error::other("a published socket is not bound"));
        }
        rustix::fs::fcntl_setfl(&socket, OFlags::NONBLOCK)?;
        if protocol == Protocol::Tcp {
            listen(&socket, BACKLOG)?;
        }
        Ok(Self {
            address,
            socket: Rc::new(socket),
            protocol,
            guest_port,
            told: HashSet::new(),
        })
    }

    /// The next client's connection, and where it is from; nothing when there is none now.
    #[must_use]
    pub fn accept(&self) -> Option<(OwnedFd, SocketAddr)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            match acceptfrom_with(&*self.socket, flags) {
                Ok((client, Some(from))) => return Some((client, from.try_into().ok()?)),
                Ok(_) | Err(Errno::INTR | Errno::CONNABORTED) => {}
                // Until a descriptor is closed, those that wait are looked at with each tick.
                Err(_) => return None,
            }
        }
    }

    /// The next datagram, in `buffer`, and whose it is; nothing when there is none now.
    #[must_use]
    pub fn receive(&self, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        loop {
            match recvfrom(&*self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((count, _, Some(client))) => {
                    let client = SocketAddr::try_from(client).ok()?;
                    return Some((client, count));
                }
                Err(Errno::AGAIN) | Ok(_) => return None,
                // What became of an earlier answer.
                Err(_) => {}
            }
        }
    }

    #[must_use]
    pub fn mouth(&self) -> Mouth {
        Mouth(Rc::clone(&self.socket))
    }

    /// Whether the keeper has not been told yet that clients are turned away for this reason.
    pub fn is_news(&mut self, why: Status) -> bool {
        self.told.insert(why.to_byte())
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Answers clients from the door's own address.
pub struct Mouth(Rc<OwnedFd>);

impl Mouth {
    /// A datagram that the kernel does not take is lost, as datagrams may be.
    pub fn send(&self, datagram: &[u8], client: SocketAddr) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let _ = sendto(&*self.0, datagram, flags, &client);
    }
}

/// Where the client has connected to; the door may have every address of the host.
#[must_use]
pub fn local_address(connection: &OwnedFd, door: &Door) -> SocketAddr {
    let own = getsockname(connection).ok();
    own.and_then(|it| it.try_into().ok())
        .unwrap_or(door.address)
}
