//! What goes to the host: bytes at once as far as its socket takes them, the rest from the outbox.

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::{Connection, Phase, Violation};

impl Connection {
    /// The guest answered the host's request: the host hears `OK <port>`.
    pub fn establish(&mut self) {
        self.phase = Phase::Established;
        let line = format!("OK {}\n", self.key.parent_port);
        // The socket is fresh, so the line fits; a host that has gone is noticed by its hang-up.
        let _ = send(
            &self.socket,
            line.as_bytes(),
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        );
    }

    /// Takes in payload from the guest and passes on what the host accepts now.
    ///
    /// # Errors
    /// When the guest exceeds its credit, or sends after it said that it would not.
    pub fn receive(&mut self, payload: &[u8]) -> Result<(), Violation> {
        if self.closed_by_guest.send || !self.credit.receive(payload.len()) {
            return Err(Violation);
        }
        if self.closed_by_host.receive {
            self.credit.forward(payload.len()); // raced with the host's close
            return Ok(());
        }
        let sent = if self.outbox.is_empty() {
            self.pass_on(payload)
        } else {
            0
        };
        if !self.closed_by_host.receive {
            self.hold(&payload[sent..]);
        }
        Ok(())
    }

    /// Keeps bytes for the host, in twice the room as before at most and never in more than was
    /// promised: a queue that grows by itself may take twice that.
    fn hold(&mut self, bytes: &[u8]) {
        let needed = self.outbox.len() + bytes.len();
        if needed > self.outbox.capacity() {
            let doubled = (2 * self.outbox.capacity()).min(self.credit.window() as usize);
            self.outbox
                .reserve_exact(needed.max(doubled) - self.outbox.len());
        }
        self.outbox.extend(bytes);
    }

    /// Passes on more of what is held for the host, and its end once nothing is held any more.
    pub fn flush(&mut self) {
        let mut held = std::mem::take(&mut self.outbox);
        while !held.is_empty() && !self.closed_by_host.receive {
            let (front, _) = held.as_slices();
            let sent = self.pass_on(front);
            held.drain(..sent);
            if sent == 0 {
                break;
            }
        }
        if self.closed_by_host.receive {
            self.credit.forward(held.len());
        } else if !held.is_empty() {
            self.outbox = held; // an emptied one is dropped, with its memory
        }
        self.pass_on_end();
    }

    fn pass_on(&mut self, bytes: &[u8]) -> usize {
        match send(
            &self.socket,
            bytes,
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        ) {
            Ok(sent) => {
                self.credit.forward(sent);
                self.bytes_to_host += sent as u64;
                sent
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                self.credit.forward(bytes.len());
                self.close_host_receiver();
                bytes.len()
            }
        }
    }

    pub(super) fn pass_on_end(&mut self) {
        if self.closed_by_guest.send && self.outbox.is_empty() {
            let _ = shutdown(&self.socket, Shutdown::Write);
            self.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use crate::connection::{Connection, Direction, Key};

    #[test]
    fn what_is_held_takes_no_more_room_than_was_promised() {
        const WINDOW: usize = 256 * 1024;
        let (socket, _host) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        while (&socket).write(&[0; 4096]).is_ok() {}
        let key = Key {
            parent_cid: 3,
            parent_port: 1,
            guest_port: 1,
        };
        let mut stream = Connection::new(key, Direction::FromGuest, socket.into(), WINDOW as u32);
        for payload in [&[7; WINDOW - 1][..], &[7]] {
            stream.receive(payload).unwrap();
        }
        assert_eq!(stream.outbox.len(), WINDOW);
        assert!(stream.outbox.capacity() <= WINDOW);
    }
}
