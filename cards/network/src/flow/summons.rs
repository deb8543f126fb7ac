//! A stream to the guest for a client that has arrived: dialled at the vsock card, which connects it to the guest's
//! ingress process, told who the client is, and answered.

use std::os::fd::OwnedFd;

use cloister_egress_policy::wire::Status;
use cloister_ingress_wire::{Arrival, GUEST_PORT};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::context::{Context, token};
use crate::outbox::Outbox;
use crate::socket::{Received, Socket};

/// The vsock card's socket, in the card's own directory (docs/architecture.md).
const VSOCK_SOCKET: &str = "vsock.sock";
/// `OK 4294967295\n`, and more than that is none.
const MAX_LINE_BYTES: usize = 16;
/// Read at once: the line, the answer, and what a program says first.
const READ_BYTES: usize = 4096;

pub struct Summons {
    pub guest: Socket,
    outbox: Outbox,
    inbox: Vec<u8>,
}

/// How far it has come.
pub enum Progress {
    Waits,
    /// The guest has taken the client, and its program has said this already.
    Taken(Vec<u8>),
    Refused(Status),
}

impl Summons {
    /// Nothing when the vsock card has no place for it now.
    pub fn dial(arrival: &Arrival, context: &Context, key: usize) -> Option<Self> {
        let guest = dial().ok()?;
        context.poller.add(&guest, token(key, true)).ok()?;
        let mut outbox = Outbox::default();
        outbox.push(format!("CONNECT {GUEST_PORT}\n").as_bytes());
        outbox.push(&arrival.encode());
        Some(Self {
            guest: Socket::new(guest),
            outbox,
            inbox: Vec::new(),
        })
    }

    pub fn work(&mut self, context: &mut Context) -> Progress {
        if self.outbox.flush(&mut self.guest).is_err() {
            return Progress::Refused(Status::HostUnreachable);
        }
        loop {
            if let Some(progress) = self.read_answer() {
                return progress;
            }
            match self.guest.receive(&mut context.buffer[..READ_BYTES]) {
                Ok(Received::Bytes(count)) => {
                    self.inbox.extend_from_slice(&context.buffer[..count]);
                }
                Ok(Received::Later) => return Progress::Waits,
                // Nobody listens in the guest, yet or any more.
                Ok(Received::Nothing) | Err(_) => {
                    return Progress::Refused(Status::HostUnreachable);
                }
            }
        }
    }

    fn read_answer(&mut self) -> Option<Progress> {
        let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') else {
            let is_line = self.inbox.len() < MAX_LINE_BYTES;
            return (!is_line).then_some(Progress::Refused(Status::Malformed));
        };
        if !self.inbox.starts_with(b"OK ") {
            return Some(Progress::Refused(Status::Malformed));
        }
        let status = Status::from_byte(*self.inbox.get(end + 1)?);
        Some(match status {
            Some(Status::Ok) => Progress::Taken(self.inbox.split_off(end + 2)),
            Some(status) => Progress::Refused(status),
            None => Progress::Refused(Status::Malformed),
        })
    }
}

fn dial() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(VSOCK_SOCKET)?)?;
    Ok(socket)
}
