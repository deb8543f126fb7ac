//! The archive's members, into the tree; the data of files goes to a sink as it comes.

use crate::data::DataWriter;
use crate::invalid;
use crate::tree::{Attributes, FileData, Kind, Tree};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};
use tar::{Archive, Entry, EntryType};

/// How libarchive names extended attributes in pax headers: the name has `%XX` for what is not plain
/// text, the value is base64. (Those of star, `SCHILY.xattr.`, are raw, and a value with a line break
/// is one that the crate `tar` cannot read.)
const XATTR_PREFIX: &[u8] = b"LIBARCHIVE.xattr.";
const STAR_XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

pub fn read<W: Write + Seek>(source: impl Read, data: &mut DataWriter<W>) -> io::Result<Tree> {
    let mut tree = Tree::default();
    for entry in Archive::new(source).entries()? {
        add(entry?, &mut tree, data)?;
    }
    Ok(tree)
}

fn add<R: Read, W: Write + Seek>(
    mut entry: Entry<R>,
    tree: &mut Tree,
    data: &mut DataWriter<W>,
) -> io::Result<()> {
    let path = entry.path_bytes().into_owned();
    let attributes = attributes(&mut entry)?;
    match entry.header().entry_type() {
        EntryType::Directory => tree.add_directory(&path, attributes),
        EntryType::Symlink => {
            let kind = Kind::Symlink(target(&entry)?);
            tree.add_leaf(&path, attributes, kind).map(drop)
        }
        EntryType::Link => {
            let target = target(&entry)?;
            tree.add_link(&path, &target)
        }
        EntryType::Fifo => tree.add_leaf(&path, attributes, Kind::Fifo).map(drop),
        EntryType::Regular => {
            let id = tree.add_leaf(&path, attributes, Kind::File(FileData::default()))?;
            let size = entry.size();
            data.add_file(tree, id, &mut entry, size)
        }
        kind => Err(invalid(format!(
            "{} is of a type that an image cannot hold: {kind:?}",
            String::from_utf8_lossy(&path)
        ))),
    }
}

fn target<R: Read>(entry: &Entry<R>) -> io::Result<Vec<u8>> {
    let target = entry.link_name_bytes();
    let target = target.ok_or_else(|| invalid("a link without a target"))?;
    Ok(target.into_owned())
}

fn attributes<R: Read>(entry: &mut Entry<R>) -> io::Result<Attributes> {
    let xattrs = xattrs(entry)?;
    let header = entry.header();
    let id = |id: u64| u32::try_from(id).map_err(|_| invalid("a user or group id above 2^32"));
    let mode = header.mode()? & 0o7777;
    Ok(Attributes {
        mode: u16::try_from(mode).map_err(io::Error::other)?,
        uid: id(header.uid()?)?,
        gid: id(header.gid()?)?,
        mtime: u32::try_from(header.mtime()?).unwrap_or(u32::MAX),
        xattrs,
    })
}

fn xattrs<R: Read>(entry: &mut Entry<R>) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        let (key, value) = (extension.key_bytes(), extension.value_bytes());
        if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
            found.insert(unescape(name)?, decode(value)?);
        } else if key.starts_with(STAR_XATTR_PREFIX) {
            return Err(invalid("extended attributes must be in libarchive's form"));
        }
    }
    Ok(found)
}

fn decode(value: &[u8]) -> io::Result<Vec<u8>> {
    let value = value.strip_suffix(b"=").unwrap_or(value);
    let value = value.strip_suffix(b"=").unwrap_or(value);
    let decoded = STANDARD_NO_PAD.decode(value);
    decoded.map_err(|_| invalid("an extended attribute is not base64"))
}

fn unescape(name: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| invalid("an extended attribute's name is malformed"))?);
        rest = &tail[2..];
    }
    Ok(bytes)
}
