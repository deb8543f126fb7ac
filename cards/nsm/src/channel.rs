//! The card channel: after one line that says that the card is ready, messages of a 4-byte
//! big-endian length and that many bytes, a request and its response in turn. The card ends with it.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use cloister_confine::sandbox::SandboxReport;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use serde_json::json;

use crate::chain::MAX_RESPONSE_BYTES;

const LENGTH_BYTES: usize = 4;

/// What has come from the keeper.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing whole yet.
    Nothing,
    Response(Vec<u8>),
    /// It has closed its end, or what it sends is longer than any response.
    Gone,
}

pub struct Channel {
    socket: UnixStream,
    inbox: Vec<u8>,
}

impl Channel {
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            inbox: Vec::new(),
        }
    }

    /// Says that the card listens and how far it is confined; before any message.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub fn greet(&mut self, sandbox: SandboxReport) -> io::Result<()> {
        let ready = json!({ "event": "ready", "sandbox": sandbox });
        self.socket.write_all(format!("{ready}\n").as_bytes())
    }

    /// Sends a request. There is never more than one on its way, and the socket has room for that.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        let length = request.len() as u32;
        let frame = [&length.to_be_bytes(), request].concat();
        self.socket.write_all(&frame)
    }

    /// Takes what is there, without waiting.
    pub fn listen(&mut self) -> Heard {
        let mut bytes = [0; LENGTH_BYTES + MAX_RESPONSE_BYTES];
        match recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Heard::Gone,
            Ok((_, count)) => self.inbox.extend_from_slice(&bytes[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Heard::Gone,
        }
        self.take_response()
    }

    /// A response ends the inbox: the keeper sends nothing that it is not asked for.
    fn take_response(&mut self) -> Heard {
        let Some((length, response)) = self.inbox.split_first_chunk::<LENGTH_BYTES>() else {
            return Heard::Nothing;
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_RESPONSE_BYTES || response.len() > length {
            return Heard::Gone;
        }
        if response.len() < length {
            return Heard::Nothing;
        }
        let response = response.to_vec();
        self.inbox.clear();
        Heard::Response(response)
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn pair() -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Channel::new(ours), theirs)
    }

    #[test]
    fn a_response_is_heard_when_it_is_whole() {
        let (mut channel, mut other) = pair();
        assert_eq!(channel.listen(), Heard::Nothing);
        for byte in [0, 0, 0, 2, 7] {
            other.write_all(&[byte]).unwrap();
            assert_eq!(channel.listen(), Heard::Nothing);
        }
        other.write_all(&[8]).unwrap();
        assert_eq!(channel.listen(), Heard::Response(vec![7, 8]));
    }

    #[test]
    fn an_empty_response_is_one() {
        let (mut channel, mut other) = pair();
        other.write_all(&[0; 4]).unwrap();
        assert_eq!(channel.listen(), Heard::Response(Vec::new()));
    }

    #[test]
    fn a_response_longer_than_any_or_followed_by_another_is_no_keeper_s() {
        for bytes in [&[0, 0, 0x30, 1][..], &[0, 0, 0, 1, 7, 0]] {
            let (mut channel, mut other) = pair();
            other.write_all(bytes).unwrap();
            assert_eq!(channel.listen(), Heard::Gone);
        }
    }

    #[test]
    fn the_end_of_the_stream_is_the_keeper_s() {
        let (mut channel, other) = pair();
        drop(other);
        assert_eq!(channel.listen(), Heard::Gone);
        assert!(channel.ask(b"x").is_err());
    }

    #[test]
    fn a_request_goes_out_behind_its_length() {
        let (mut channel, mut other) = pair();
        channel.ask(b"abc").unwrap();
        let mut frame = [0; 7];
        other.read_exact(&mut frame).unwrap();
        assert_eq!(&frame, b"\0\0\0\x03abc");
    }
}
