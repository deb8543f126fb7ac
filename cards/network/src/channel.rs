//! The card channel: JSON lines over an inherited stream socket. The keeper is trusted, but a line is bounded.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outbox::Outbox;
use crate::poller::Ready;
use crate::socket::{Received, Socket};

const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// What a keeper that does not read is left to catch up with; further news is dropped.
const MAX_OUTBOX_BYTES: usize = 1024 * 1024;

/// `{"id": any, "request": ..., ...}`; the answer repeats the id.
#[derive(Debug, Deserialize)]
pub struct Request {
    #[serde(default)]
    pub id: Value,
    #[serde(flatten)]
    pub body: RequestBody,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "request", rename_all = "camelCase")]
pub enum RequestBody {
    /// Counters, and what was refused.
    Status,
    /// The host's resolvers have changed.
    SetResolvers { resolvers: Vec<SocketAddr> },
}

/// What came from the keeper.
#[derive(Debug)]
pub enum Heard {
    Request(Request),
    /// Not a request.
    Invalid(String),
    /// Nothing whole yet.
    Nothing,
    /// It has closed its end.
    Gone,
}

pub struct Channel {
    socket: Socket,
    inbox: Vec<u8>,
    outbox: Outbox,
}

impl Channel {
    /// # Errors
    /// When the socket cannot be made nonblocking.
    pub fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Socket::new(socket.into()),
            inbox: Vec::new(),
            outbox: Outbox::default(),
        })
    }

    pub fn note(&mut self, ready: Ready) {
        self.socket.note(ready);
    }

    /// Sends a line, or drops it where the keeper is far behind.
    pub fn tell(&mut self, message: &impl Serialize) {
        let mut line = serde_json::to_vec(message).unwrap_or_default();
        line.push(b'\n');
        if self.outbox.len() + line.len() <= MAX_OUTBOX_BYTES {
            self.outbox.push(&line);
        }
        self.flush();
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        // A keeper that is gone is heard of by reading.
        let _ = self.outbox.flush(&mut self.socket);
    }

    /// Takes the next line, without waiting.
    pub fn listen(&mut self) -> Heard {
        loop {
            if let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.inbox.drain(..=end).collect();
                return match serde_json::from_slice(&line) {
                    Ok(request) => Heard::Request(request),
                    Err(error) => Heard::Invalid(error.to_string()),
                };
            }
            if self.inbox.len() > MAX_REQUEST_BYTES {
                return Heard::Gone; // not our keeper
            }
            let mut bytes = [0; 4096];
            match self.socket.receive(&mut bytes) {
                Ok(Received::Bytes(count)) => self.inbox.extend_from_slice(&bytes[..count]),
                Ok(Received::Later) => return Heard::Nothing,
                Ok(Received::Nothing) | Err(_) => return Heard::Gone,
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
