//! Bytes on their way to a socket that does not take them all at once.

use std::io;

use crate::socket::Socket;

#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&mut self, bytes: &[u8]) {
        // Moves what is left to the front before the memory grows.
        if self.sent > 0 && self.sent * 2 >= self.bytes.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Sends what the socket takes; whether that was all.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn flush(&mut self, socket: &mut Socket) -> io::Result<bool> {
        while !self.is_empty() {
            let count = socket.send(&self.bytes[self.sent..])?;
            if count == 0 {
                return Ok(false);
            }
            self.sent += count;
        }
        // A flow that had to wait once keeps no memory for it.
        self.bytes = Vec::new();
        self.sent = 0;
        Ok(true)
    }
}
