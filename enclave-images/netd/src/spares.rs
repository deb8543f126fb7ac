//! Sockets of connections that are over, for new ones: their buffers' memory is there already. For the kernel to provide
//! it anew, cleared, takes longer than all else that a short connection needs.

use crate::budget::LARGE_BYTES;
use smoltcp::socket::tcp::{Socket, SocketBuffer};

/// As many as are kept. They exceed no budget: whoever was promised a large buffer takes one of these first.
const MAX_SPARES: usize = 8;

#[derive(Default)]
pub struct Spares(Vec<Socket<'static>>);

impl Spares {
    /// A socket with two buffers of `bytes`. What an earlier connection has left in them is not sent: only what is
    /// written is.
    pub fn take(&mut self, bytes: usize) -> Socket<'static> {
        if bytes == LARGE_BYTES
            && let Some(socket) = self.0.pop()
        {
            return socket;
        }
        let buffer = || SocketBuffer::new(vec![0; bytes]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket
    }

    /// Small ones are made as quickly.
    pub fn keep(&mut self, mut socket: Socket<'static>) {
        if socket.send_capacity() == LARGE_BYTES && self.0.len() < MAX_SPARES {
            socket.abort();
            self.0.push(socket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_socket_is_used_again_and_shows_nothing_of_before() {
        let mut spares = Spares::default();
        let mut socket = spares.take(LARGE_BYTES);
        socket.listen(80).unwrap();
        spares.keep(socket);
        spares.keep(spares_of(1024));
        assert_eq!(spares.0.len(), 1);
        let mut socket = spares.take(LARGE_BYTES);
        assert!(spares.0.is_empty());
        assert!(!socket.is_open());
        socket.listen(81).unwrap();
        assert_eq!((socket.send_queue(), socket.recv_queue()), (0, 0));
    }

    #[test]
    fn keeps_no_more_than_a_few() {
        let mut spares = Spares::default();
        for _ in 0..2 * MAX_SPARES {
            spares.keep(spares_of(LARGE_BYTES));
        }
        assert_eq!(spares.0.len(), MAX_SPARES);
    }

    fn spares_of(bytes: usize) -> Socket<'static> {
        Spares::default().take(bytes)
    }
}
