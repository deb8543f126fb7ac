//! Any bytes from the keeper, in pieces of any size: a response is heard once it is whole and is
//! what was sent; what is longer than any, or more than was asked for, is not a keeper's. What the card
//! asks goes out behind its length.
#![no_main]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use arbitrary::Arbitrary;
use cloister_nsm::channel::{Channel, Heard};
use libfuzzer_sys::fuzz_target;

const MAX_REQUEST_BYTES: u16 = 0x1000;
const MAX_RESPONSE_BYTES: usize = 0x3000;
/// What the card takes at once.
const MAX_PIECE_BYTES: usize = 4 + MAX_RESPONSE_BYTES;

#[derive(Arbitrary, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Length(u32),
    /// A message whose length is wrong by so much, in pieces of so many bytes.
    Message(u16, i8, u16),
    Ask(u16),
    Close,
}

fuzz_target!(|steps: Vec<Step>| {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let mut line = Line {
        channel: Channel::new(ours),
        other: Some(theirs),
        inbox: Vec::new(),
    };
    for step in &steps {
        if !line.perform(step) {
            return;
        }
    }
});

struct Line {
    channel: Channel,
    other: Option<UnixStream>,
    /// What the card should have taken, and not handed on.
    inbox: Vec<u8>,
}

impl Line {
    /// Whether the card goes on.
    fn perform(&mut self, step: &Step) -> bool {
        match step {
            Step::Bytes(bytes) => self.hear(bytes),
            Step::Length(length) => self.hear(&length.to_be_bytes()),
            Step::Message(length, wrong, piece) => {
                let count = usize::from(*length) % (MAX_RESPONSE_BYTES + 2);
                let told = (count as u32).saturating_add_signed(i32::from(*wrong));
                let message = [&told.to_be_bytes()[..], &vec![7; count]].concat();
                let piece = usize::from(*piece).max(count / 16) + 1;
                message.chunks(piece).all(|piece| self.hear(piece))
            }
            Step::Ask(length) => {
                self.ask(usize::from(length % (MAX_REQUEST_BYTES + 1)));
                true
            }
            Step::Close => {
                self.other = None;
                assert_eq!(self.channel.listen(), Heard::Gone);
                assert!(self.channel.ask(b"x").is_err());
                false
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> bool {
        bytes.chunks(MAX_PIECE_BYTES).all(|piece| {
            let mut other = self.other.as_ref().expect("an open end");
            other.write_all(piece).expect("room for a piece");
            self.inbox.extend_from_slice(piece);
            let expected = self.expected();
            assert_eq!(self.channel.listen(), expected);
            if matches!(expected, Heard::Response(_)) {
                assert_eq!(self.channel.listen(), Heard::Nothing);
                self.inbox.clear();
            }
            expected != Heard::Gone
        })
    }

    fn expected(&self) -> Heard {
        let Some((length, response)) = self.inbox.split_first_chunk() else {
            return Heard::Nothing;
        };
        let length = u32::from_be_bytes(*length) as usize;
        match response.len() {
            _ if length > MAX_RESPONSE_BYTES => Heard::Gone,
            count if count > length => Heard::Gone,
            count if count == length => Heard::Response(response.to_vec()),
            _ => Heard::Nothing,
        }
    }

    fn ask(&mut self, length: usize) {
        let request = vec![9; length];
        self.channel.ask(&request).expect("room for a request");
        let mut frame = vec![0; 4 + length];
        let mut other = self.other.as_ref().expect("an open end");
        other.read_exact(&mut frame).expect("a whole request");
        assert_eq!(frame[..4], (length as u32).to_be_bytes());
        assert_eq!(frame[4..], request);
    }
}
