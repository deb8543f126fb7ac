//! connect(2) to a port of an enclave: the program's own socket is connected to the enclave's vsock
//! card and asks it for the port; the call returns when the guest has accepted. Also for a socket that
//! does not block: a connected unix socket can be written at once, which the program would take for
//! success, so it waits too, as long as vsock's own time-out at most.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_cookie, socket_timeout};
use rustix::net::{RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, connect, recv, send};

use crate::address::{Address, CID_LOCAL, CID_PARENT};
use crate::call::{Answer, Call, DONE, Outcome};
use crate::caller::{is_close_on_exec, share_descriptor};
use crate::kernel::Reports;
use crate::ports::Ports;
use crate::registry::Registry;
use crate::sockets::{Phase, Socket, Sockets};

/// `OK 4294967295\n` and some room.
const REPLY_MAX_BYTES: usize = 32;
/// Dials at once; more get `ENOBUFS`.
const MAX_DIALS: usize = 4096;

pub struct Dial {
    pub call: Call,
    pub socket: OwnedFd,
    pub deadline: Instant,
    peer: Address,
    /// Whether the card has been asked; not while its backlog is full.
    pub is_asked: bool,
    path: SocketAddrUnix,
}

pub struct Dialler<'a> {
    pub reports: &'a Reports,
    pub registry: &'a Registry,
    pub ports: &'a Ports,
    pub sockets: &'a mut Sockets,
    pub dials: &'a mut Vec<Dial>,
}

impl Dialler<'_> {
    /// connect(2) with an address of vsock.
    ///
    /// # Errors
    /// `ENODEV` for a CID that no enclave has, `ECONNRESET` for a port that is closed, `EISCONN`,
    /// `EALREADY`, `EINVAL`
    pub fn begin(&mut self, call: &Call, peer: Address) -> Outcome {
        let Ok(fd) = share_descriptor(call) else {
            return Ok(Answer::Pass);
        };
        let Some(socket) = self.sockets.find(fd.as_fd()) else {
            return Ok(Answer::Pass);
        };
        match socket.phase {
            Phase::Fresh => self.dial(call, fd, peer),
            Phase::Spent => {
                let fresh = self.replace(call, fd.as_fd())?;
                self.dial(call, fresh, peer)
            }
            Phase::Dialling => self.rejoin(call, fd.as_fd()),
            Phase::Untold { peer } => {
                socket.phase = Phase::Connected { peer };
                DONE
            }
            Phase::Connected { .. } => Err(Errno::ISCONN),
            Phase::Listening => Err(Errno::INVAL),
        }
    }

    fn dial(&mut self, call: &Call, socket: OwnedFd, peer: Address) -> Outcome {
        if [CID_LOCAL, CID_PARENT].contains(&peer.cid) {
            return self.dial_here(socket.as_fd(), peer);
        }
        if self.dials.len() >= MAX_DIALS {
            return Err(Errno::NOBUFS);
        }
        let enclaves = self.registry.enclaves();
        let enclave = enclaves
            .iter()
            .find(|enclave| enclave.cid == peer.cid)
            .ok_or(Errno::NODEV)?;
        let found = self.sockets.find(socket.as_fd()).ok_or(Errno::BADF)?;
        let mut dial = Dial {
            call: *call,
            deadline: Instant::now() + found.settings.connect_timeout,
            peer,
            is_asked: false,
            path: SocketAddrUnix::new(enclave.dial_path())?,
            socket,
        };
        dial.ask()?;
        found.phase = Phase::Dialling;
        self.dials.push(dial);
        Ok(Answer::Wait)
    }

    /// A program under the same supervisor, as Linux's vsock_loopback would find it.
    fn dial_here(&mut self, socket: BorrowedFd<'_>, peer: Address) -> Outcome {
        let path = self.ports.listener(peer.port).ok_or(Errno::CONNRESET)?;
        connect_at_once(socket, &unix_address(&path)?).map_err(|_| Errno::CONNRESET)?;
        let found = self.sockets.find(socket).ok_or(Errno::BADF)?;
        found.phase = Phase::Connected { peer };
        DONE
    }

    /// connect(2) again after a signal had interrupted it.
    fn rejoin(&mut self, call: &Call, fd: BorrowedFd<'_>) -> Outcome {
        let cookie = socket_cookie(fd)?;
        let same = |dial: &&mut Dial| socket_cookie(&dial.socket) == Ok(cookie);
        let dial = self.dials.iter_mut().find(same).ok_or(Errno::ALREADY)?;
        if self.reports.is_waiting(dial.call.id) {
            return Err(Errno::ALREADY);
        }
        dial.call = *call;
        Ok(Answer::Wait)
    }

    /// A connected unix socket cannot be connected anew, so the program gets another in its place.
    fn replace(&mut self, call: &Call, spent: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let blocks = !fcntl_getfl(spent)?.contains(OFlags::NONBLOCK);
        let fresh = self.sockets.make(SocketFlags::empty())?;
        ioctl_fionbio(&fresh, !blocks)?;
        for which in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&fresh, which, socket_timeout(spent, which)?)?;
        }
        self.reports.replace(
            call.id,
            call.descriptor(),
            fresh.as_fd(),
            is_close_on_exec(call),
        )?;
        self.sockets.take_over(spent, fresh.as_fd());
        Ok(fresh)
    }
}

impl Dial {
    /// Goes on after the socket has become readable or time has passed; `None` while it waits.
    pub fn proceed(&mut self, now: Instant) -> Option<Result<u32, Errno>> {
        let progress = if self.is_asked {
            self.read_reply()
        } else {
            self.ask().map(|()| None)
        };
        match progress {
            Ok(None) if now >= self.deadline => Some(Err(Errno::TIMEDOUT)),
            other => other.transpose(),
        }
    }

    /// Records how it ended, given whether the program heard of it.
    pub fn end(&self, socket: &mut Socket, result: Result<u32, Errno>, is_told: bool) {
        let peer = self.peer;
        socket.phase = match result {
            Ok(_) if is_told => Phase::Connected { peer },
            Ok(_) => Phase::Untold { peer },
            Err(_) if self.is_asked => Phase::Spent,
            Err(_) => Phase::Fresh,
        };
        if let (Ok(port), Address::UNBOUND) = (result, socket.local) {
            socket.local = Address {
                cid: CID_PARENT,
                port,
            };
        }
    }

    fn ask(&mut self) -> Result<(), Errno> {
        match connect_at_once(self.socket.as_fd(), &self.path) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Err(Errno::CONNRESET),
            Err(error) => return Err(error),
        }
        self.is_asked = true;
        let line = format!("CONNECT {}\n", self.peer.port);
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        send(&self.socket, line.as_bytes(), flags).map_err(|_| Errno::CONNRESET)?;
        Ok(())
    }

    /// The port of this end, once the card has said `OK <port>`. What follows the line is the guest's.
    fn read_reply(&self) -> Result<Option<u32>, Errno> {
        let mut bytes = [0; REPLY_MAX_BYTES];
        let count = match recv(
            &self.socket,
            &mut bytes,
            RecvFlags::PEEK | RecvFlags::DONTWAIT,
        ) {
            Ok((_, 0)) => return Err(Errno::CONNRESET),
            Ok((_, count)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(_) => return Err(Errno::CONNRESET),
        };
        let Some(end) = bytes[..count].iter().position(|byte| *byte == b'\n') else {
            return if count < REPLY_MAX_BYTES {
                Ok(None)
            } else {
                Err(Errno::CONNRESET)
            };
        };
        recv(
            &self.socket,
            &mut [0; REPLY_MAX_BYTES][..=end],
            RecvFlags::DONTWAIT,
        )?;
        let line = std::str::from_utf8(&bytes[..end]).map_err(|_| Errno::CONNRESET)?;
        let port = line.strip_prefix("OK ").and_then(|port| port.parse().ok());
        port.map(Some).ok_or(Errno::CONNRESET)
    }
}

fn unix_address(path: &Path) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(path)
}

/// Without waiting for a full backlog. Whether a socket blocks is shared with the program, whose call
/// waits meanwhile.
fn connect_at_once(socket: BorrowedFd<'_>, address: &SocketAddrUnix) -> Result<(), Errno> {
    let flags = fcntl_getfl(socket)?;
    fcntl_setfl(socket, flags | OFlags::NONBLOCK)?;
    let result = connect(socket, address);
    fcntl_setfl(socket, flags)?;
    result
}
