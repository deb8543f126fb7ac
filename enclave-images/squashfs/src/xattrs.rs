//! Extended attributes: each set of them once, file capabilities among them.

use crate::invalid;
use crate::metadata::Metadata;
use std::collections::{BTreeMap, HashMap};
use std::io;

/// The namespaces of the format, by their number.
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

type Set = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an image holds of extended attributes.
pub struct Written {
    /// Sets.
    pub count: u32,
    /// Names and values.
    pub pairs: Vec<u8>,
    /// Where each set is.
    pub table: Vec<u8>,
    /// Offsets of the table's blocks.
    pub blocks: Vec<u64>,
}

pub struct Xattrs {
    pairs: Metadata,
    table: Metadata,
    index: HashMap<Set, u32>,
}

impl Xattrs {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            pairs: Metadata::new()?,
            table: Metadata::new()?,
            index: HashMap::new(),
        })
    }

    /// The index of a set; `None` for an empty one.
    pub fn index(&mut self, set: &Set) -> io::Result<Option<u32>> {
        if set.is_empty() {
            return Ok(None);
        }
        if let Some(&index) = self.index.get(set) {
            return Ok(Some(index));
        }
        let place = self.pairs.position()?;
        let bytes = encode(set)?;
        self.pairs.write(&bytes)?;
        let count = u32::try_from(set.len()).map_err(io::Error::other)?;
        let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.table.write(&place.packed().to_le_bytes())?;
        self.table.write(&count.to_le_bytes())?;
        self.table.write(&size.to_le_bytes())?;
        let index = u32::try_from(self.index.len()).map_err(io::Error::other)?;
        self.index.insert(set.clone(), index);
        Ok(Some(index))
    }

    pub fn finish(self) -> io::Result<Written> {
        let count = u32::try_from(self.index.len()).map_err(io::Error::other)?;
        let (pairs, _) = self.pairs.finish()?;
        let (table, blocks) = self.table.finish()?;
        Ok(Written {
            count,
            pairs,
            table,
            blocks,
        })
    }
}

fn encode(set: &Set) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (name, value) in set {
        let (kind, short) = split(name)?;
        let name_size = u16::try_from(short.len()).map_err(io::Error::other)?;
        let value_size = u32::try_from(value.len()).map_err(io::Error::other)?;
        bytes.extend(kind.to_le_bytes());
        bytes.extend(name_size.to_le_bytes());
        bytes.extend(short);
        bytes.extend(value_size.to_le_bytes());
        bytes.extend(value);
    }
    Ok(bytes)
}

fn split(name: &[u8]) -> io::Result<(u16, &[u8])> {
    for (kind, prefix) in (0u16..).zip(PREFIXES) {
        if let Some(short) = name.strip_prefix(prefix) {
            return Ok((kind, short));
        }
    }
    let name = String::from_utf8_lossy(name);
    Err(invalid(format!(
        "an image cannot hold the extended attribute {name}"
    )))
}
