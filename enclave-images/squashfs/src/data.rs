//! The first part of an image: the blocks of files, and blocks that the ends of several files share.

use crate::compress::{Block, Pipeline};
use crate::invalid;
use crate::tree::{Fragment, InodeId, Tree};
use std::io::{self, Read, Seek, Write};

pub const BLOCK_BYTES: usize = 128 << 10;
pub const BLOCK_LOG: u16 = 17;

/// What a block in the pipeline is.
enum Label {
    File(InodeId),
    Fragments,
}

/// Where a block of fragments is, and its size field.
pub struct FragmentBlock {
    pub start: u64,
    pub size: u32,
}

pub struct DataWriter<W> {
    file: W,
    position: u64,
    pipeline: Pipeline<Label>,
    /// The ends of files that wait for a full block.
    fragments: Vec<u8>,
    blocks_of_fragments: u32,
    pub written_fragments: Vec<FragmentBlock>,
}

impl<W: Write + Seek> DataWriter<W> {
    /// Writes from `position` on, where the file is.
    pub fn new(file: W, position: u64) -> io::Result<Self> {
        Ok(Self {
            file,
            position,
            pipeline: Pipeline::new()?,
            fragments: Vec::with_capacity(BLOCK_BYTES),
            blocks_of_fragments: 0,
            written_fragments: Vec::new(),
        })
    }

    /// Takes `size` bytes of a file.
    pub fn add_file(
        &mut self,
        tree: &mut Tree,
        id: InodeId,
        source: &mut impl Read,
        size: u64,
    ) -> io::Result<()> {
        tree.file_mut(id).size = size;
        let mut rest = size;
        while rest > 0 {
            let length = usize::try_from(rest).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            let mut bytes = vec![0; length];
            source
                .read_exact(&mut bytes)
                .map_err(|_| invalid("the archive ends in a file"))?;
            rest -= length as u64;
            if length < BLOCK_BYTES {
                let fragment = self.add_fragment(tree, &bytes)?;
                tree.file_mut(id).fragment = Some(fragment);
            } else {
                self.put(tree, Label::File(id), bytes)?;
            }
        }
        Ok(())
    }

    /// Writes what is left and returns the file and its length.
    pub fn finish(mut self, tree: &mut Tree) -> io::Result<(W, u64, Vec<FragmentBlock>)> {
        self.flush_fragments(tree)?;
        while self.take(tree)? {}
        Ok((self.file, self.position, self.written_fragments))
    }

    fn add_fragment(&mut self, tree: &mut Tree, bytes: &[u8]) -> io::Result<Fragment> {
        if self.fragments.len() + bytes.len() > BLOCK_BYTES {
            self.flush_fragments(tree)?;
        }
        let offset = u32::try_from(self.fragments.len()).map_err(io::Error::other)?;
        self.fragments.extend_from_slice(bytes);
        let index = self.blocks_of_fragments;
        Ok(Fragment { index, offset })
    }

    fn flush_fragments(&mut self, tree: &mut Tree) -> io::Result<()> {
        if self.fragments.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::replace(&mut self.fragments, Vec::with_capacity(BLOCK_BYTES));
        self.blocks_of_fragments += 1;
        self.put(tree, Label::Fragments, bytes)
    }

    fn put(&mut self, tree: &mut Tree, label: Label, bytes: Vec<u8>) -> io::Result<()> {
        if self.pipeline.is_full() {
            self.take(tree)?;
        }
        // A block of zeros needs no work, but its turn.
        let is_hole = matches!(label, Label::File(_)) && bytes.iter().all(|&byte| byte == 0);
        self.pipeline
            .put(label, if is_hole { Vec::new() } else { bytes })
    }

    /// Writes the oldest block; false when there is none.
    fn take(&mut self, tree: &mut Tree) -> io::Result<bool> {
        let Some((label, block)) = self.pipeline.take()? else {
            return Ok(false);
        };
        match label {
            Label::File(id) => self.write_file_block(tree, id, &block)?,
            Label::Fragments => {
                let start = self.write(&block.bytes)?;
                let size = block.size;
                self.written_fragments.push(FragmentBlock { start, size });
            }
        }
        Ok(true)
    }

    fn write_file_block(&mut self, tree: &mut Tree, id: InodeId, block: &Block) -> io::Result<()> {
        let start = self.write(&block.bytes)?;
        let file = tree.file_mut(id);
        if file.blocks.is_empty() {
            file.start = start;
        }
        if block.bytes.is_empty() {
            file.blocks.push(0);
            file.sparse += BLOCK_BYTES as u64;
        } else {
            file.blocks.push(block.size);
        }
        Ok(())
    }

    /// Returns where the bytes are.
    fn write(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let start = self.position;
        self.file.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(start)
    }
}
