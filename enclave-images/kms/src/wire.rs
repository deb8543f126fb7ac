//! Sockets whose reads and writes all end by one deadline, however slowly the peer sends.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use vsock::VsockStream;

/// A connected stream socket.
pub enum Socket {
    Tcp(TcpStream),
    Vsock(VsockStream),
}

/// A socket and when it stops.
pub struct Wire {
    socket: Socket,
    deadline: Instant,
}

impl Wire {
    #[must_use]
    pub fn new(socket: Socket, time: Duration) -> Self {
        Self {
            socket,
            deadline: Instant::now() + time,
        }
    }

    /// Allows it this much more time, from now on.
    pub fn extend(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    /// Sets the time-out of the next call to what is left.
    fn arm(&self) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        match &self.socket {
            Socket::Tcp(socket) => {
                socket.set_read_timeout(Some(left))?;
                socket.set_write_timeout(Some(left))
            }
            Socket::Vsock(socket) => {
                socket.set_read_timeout(Some(left))?;
                socket.set_write_timeout(Some(left))
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.arm()?;
        match &mut self.socket {
            Socket::Tcp(socket) => socket.read(buffer),
            Socket::Vsock(socket) => socket.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.arm()?;
        match &mut self.socket {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Vsock(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
