//! A byte pattern whose period is prime, so that lost, repeated or moved bytes show.

use std::io;

const PERIOD: usize = 1_000_003;
const LONGEST: usize = 1024 * 1024;

pub struct Pattern(Vec<u8>);

impl Pattern {
    pub fn new() -> Self {
        let byte = |i: usize| {
            let at = (i % PERIOD) as u32;
            at.wrapping_mul(2_654_435_761).to_be_bytes()[0]
        };
        Self((0..PERIOD + LONGEST).map(byte).collect())
    }

    /// The bytes at an offset of the stream; at most 1 MiB.
    pub fn at(&self, offset: u64, bytes: usize) -> &[u8] {
        let start = (offset % PERIOD as u64) as usize;
        &self.0[start..start + bytes]
    }

    pub fn check(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.at(offset, bytes.len()) == bytes {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the bytes at {offset} are not those sent"
        )))
    }
}
