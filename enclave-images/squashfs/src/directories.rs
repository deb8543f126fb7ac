//! A directory's listing as bytes: entries in runs that share a block of inodes.

use crate::inodes::number;
use crate::metadata::Reference;
use crate::tree::{Inode, InodeId, Kind};
use std::collections::BTreeMap;
use std::io;

const MAX_RUN: usize = 256;

struct Entry<'a> {
    name: &'a [u8],
    place: Reference,
    number: u32,
    kind: u16,
}

/// Encodes the entries of a directory, whose inodes are all placed already.
pub fn listing(
    entries: &BTreeMap<Vec<u8>, InodeId>,
    inodes: &[Inode],
    places: &[Reference],
) -> io::Result<Vec<u8>> {
    let entries: Vec<Entry> = entries
        .iter()
        .map(|(name, &id)| {
            Ok(Entry {
                name,
                place: places[id],
                number: number(id)?,
                kind: kind(&inodes[id].kind),
            })
        })
        .collect::<io::Result<_>>()?;
    let mut bytes = Vec::new();
    let mut rest = &entries[..];
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .take(MAX_RUN)
            .take_while(|entry| entry.place.block == first.place.block)
            .take_while(|entry| difference(entry, first).is_some())
            .count();
        encode_run(&mut bytes, &rest[..run])?;
        rest = &rest[run..];
    }
    Ok(bytes)
}

/// Always that of the basic inode.
fn kind(kind: &Kind) -> u16 {
    match kind {
        Kind::Directory { .. } => 1,
        Kind::File(_) => 2,
        Kind::Symlink(_) => 3,
        Kind::Fifo => 6,
    }
}

fn difference(entry: &Entry, first: &Entry) -> Option<i16> {
    i16::try_from(i64::from(entry.number) - i64::from(first.number)).ok()
}

fn encode_run(bytes: &mut Vec<u8>, run: &[Entry]) -> io::Result<()> {
    let Some(first) = run.first() else {
        return Ok(());
    };
    let count_less_one = u32::try_from(run.len() - 1).map_err(io::Error::other)?;
    for field in [count_less_one, first.place.block, first.number] {
        bytes.extend(field.to_le_bytes());
    }
    for entry in run {
        let difference = difference(entry, first).unwrap_or_default();
        let size_less_one = u16::try_from(entry.name.len() - 1).map_err(io::Error::other)?;
        bytes.extend(entry.place.offset.to_le_bytes());
        bytes.extend(difference.to_le_bytes());
        bytes.extend(entry.kind.to_le_bytes());
        bytes.extend(size_less_one.to_le_bytes());
        bytes.extend(entry.name);
    }
    Ok(())
}
