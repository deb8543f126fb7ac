//! Metadata: a stream of bytes in blocks of 8 KiB, each compressed and preceded by its size.

use crate::compress::Compressor;
use std::io;

const BLOCK_BYTES: usize = 8192;
/// In a block's size: it is stored as it is.
const UNCOMPRESSED: u16 = 1 << 15;

/// Where something begins: a block, as an offset into the written stream, and an offset in what the
/// block holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    pub block: u32,
    pub offset: u16,
}

impl Reference {
    /// As inodes are referred to: 48 bits of block, 16 of offset.
    pub fn packed(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }
}

/// A stream that is kept in memory.
pub struct Metadata {
    compressor: Compressor,
    written: Vec<u8>,
    /// Offsets of the blocks in `written`.
    blocks: Vec<u64>,
    current: Vec<u8>,
}

impl Metadata {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            compressor: Compressor::new()?,
            written: Vec::new(),
            blocks: Vec::new(),
            current: Vec::with_capacity(BLOCK_BYTES),
        })
    }

    /// Where the next byte will be.
    pub fn position(&self) -> io::Result<Reference> {
        Ok(Reference {
            block: u32::try_from(self.written.len()).map_err(io::Error::other)?,
            offset: u16::try_from(self.current.len()).map_err(io::Error::other)?,
        })
    }

    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = BLOCK_BYTES - self.current.len();
            let (head, tail) = bytes.split_at(room.min(bytes.len()));
            self.current.extend_from_slice(head);
            bytes = tail;
            if self.current.len() == BLOCK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The stream, and the offsets of its blocks in it.
    pub fn finish(mut self) -> io::Result<(Vec<u8>, Vec<u64>)> {
        if !self.current.is_empty() {
            self.flush()?;
        }
        Ok((self.written, self.blocks))
    }

    fn flush(&mut self) -> io::Result<()> {
        let plain = std::mem::take(&mut self.current);
        let length = plain.len();
        let packed = self.compressor.compress(plain)?.bytes;
        let flag = if packed.len() < length {
            0
        } else {
            UNCOMPRESSED
        };
        let size = u16::try_from(packed.len()).map_err(io::Error::other)? | flag;
        self.blocks.push(self.written.len() as u64);
        self.written.extend_from_slice(&size.to_le_bytes());
        self.written.extend_from_slice(&packed);
        Ok(())
    }
}
