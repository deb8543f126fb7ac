//! Inodes as bytes. The short forms are used wherever they can say everything.

use crate::invalid;
use crate::metadata::Reference;
use crate::tree::{Attributes, FileData, InodeId};
use std::collections::HashMap;
use std::io;

const BASIC_DIRECTORY: u16 = 1;
const BASIC_FILE: u16 = 2;
const BASIC_SYMLINK: u16 = 3;
const BASIC_FIFO: u16 = 6;
/// From a basic form to the extended one.
const EXTENDED: u16 = 7;
/// No fragment, no extended attributes.
const NONE: u32 = u32::MAX;
/// A listing's size counts `.` and `..`, which are not in it.
const DOT_ENTRIES_BYTES: u32 = 3;

/// Users and groups, each once, by the order of their first use.
#[derive(Default)]
pub struct Ids {
    pub table: Vec<u32>,
    index: HashMap<u32, u16>,
}

impl Ids {
    fn index(&mut self, id: u32) -> io::Result<u16> {
        if let Some(&index) = self.index.get(&id) {
            return Ok(index);
        }
        let index = u16::try_from(self.table.len())
            .map_err(|_| invalid("there are more than 65536 users and groups"))?;
        self.table.push(id);
        self.index.insert(id, index);
        Ok(index)
    }
}

/// What every inode has.
pub struct Common<'a> {
    pub id: InodeId,
    pub attributes: &'a Attributes,
    pub links: u32,
    /// Index of a set of extended attributes.
    pub xattrs: Option<u32>,
}

/// The number in the image of an inode.
pub fn number(id: InodeId) -> io::Result<u32> {
    u32::try_from(id + 1).map_err(io::Error::other)
}

fn header(common: &Common, kind: u16, ids: &mut Ids) -> io::Result<Vec<u8>> {
    let Attributes {
        mode,
        uid,
        gid,
        mtime,
        ..
    } = *common.attributes;
    let mut bytes = Vec::with_capacity(64);
    for field in [kind, mode, ids.index(uid)?, ids.index(gid)?] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(mtime.to_le_bytes());
    bytes.extend(number(common.id)?.to_le_bytes());
    Ok(bytes)
}

pub fn file(common: &Common, data: &FileData, ids: &mut Ids) -> io::Result<Vec<u8>> {
    let (index, offset) = data
        .fragment
        .map_or((NONE, 0), |fragment| (fragment.index, fragment.offset));
    let short = (u32::try_from(data.start), u32::try_from(data.size));
    let is_basic = common.links == 1 && common.xattrs.is_none() && data.sparse == 0;
    let mut bytes;
    if let (true, (Ok(start), Ok(size))) = (is_basic, short) {
        bytes = header(common, BASIC_FILE, ids)?;
        for field in [start, index, offset, size] {
            bytes.extend(field.to_le_bytes());
        }
    } else {
        bytes = header(common, BASIC_FILE + EXTENDED, ids)?;
        for field in [data.start, data.size, data.sparse] {
            bytes.extend(field.to_le_bytes());
        }
        for field in [common.links, index, offset, common.xattrs.unwrap_or(NONE)] {
            bytes.extend(field.to_le_bytes());
        }
    }
    for size in &data.blocks {
        bytes.extend(size.to_le_bytes());
    }
    Ok(bytes)
}

pub fn symlink(common: &Common, target: &[u8], ids: &mut Ids) -> io::Result<Vec<u8>> {
    let kind = BASIC_SYMLINK + common.xattrs.map_or(0, |_| EXTENDED);
    let mut bytes = header(common, kind, ids)?;
    let length = u32::try_from(target.len()).map_err(io::Error::other)?;
    bytes.extend(common.links.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(target);
    if let Some(index) = common.xattrs {
        bytes.extend(index.to_le_bytes());
    }
    Ok(bytes)
}

pub fn fifo(common: &Common, ids: &mut Ids) -> io::Result<Vec<u8>> {
    let kind = BASIC_FIFO + common.xattrs.map_or(0, |_| EXTENDED);
    let mut bytes = header(common, kind, ids)?;
    bytes.extend(common.links.to_le_bytes());
    if let Some(index) = common.xattrs {
        bytes.extend(index.to_le_bytes());
    }
    Ok(bytes)
}

/// A directory's listing: where it is and its bytes.
pub struct Listing {
    pub place: Reference,
    pub size: u32,
}

pub fn directory(
    common: &Common,
    parent: u32,
    listing: &Listing,
    ids: &mut Ids,
) -> io::Result<Vec<u8>> {
    let Listing { place, size } = listing;
    let size = size + DOT_ENTRIES_BYTES;
    if let (None, Ok(short)) = (common.xattrs, u16::try_from(size)) {
        let mut bytes = header(common, BASIC_DIRECTORY, ids)?;
        bytes.extend(place.block.to_le_bytes());
        bytes.extend(common.links.to_le_bytes());
        bytes.extend(short.to_le_bytes());
        bytes.extend(place.offset.to_le_bytes());
        bytes.extend(parent.to_le_bytes());
        return Ok(bytes);
    }
    let mut bytes = header(common, BASIC_DIRECTORY + EXTENDED, ids)?;
    for field in [common.links, size, place.block, parent] {
        bytes.extend(field.to_le_bytes());
    }
    let indexes = 0u16;
    bytes.extend(indexes.to_le_bytes());
    bytes.extend(place.offset.to_le_bytes());
    bytes.extend(common.xattrs.unwrap_or(NONE).to_le_bytes());
    Ok(bytes)
}
