//! The whole image: superblock, data, then the tables that lead to them, in the order that the kernel
//! insists on.

use crate::archive;
use crate::data::{BLOCK_BYTES, BLOCK_LOG, DataWriter, FragmentBlock};
use crate::directories::listing;
use crate::inodes::{self, Common, Ids, Listing};
use crate::invalid;
use crate::metadata::{Metadata, Reference};
use crate::tree::{Kind, ROOT, Tree};
use crate::xattrs::Xattrs;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

const SUPERBLOCK_BYTES: u64 = 96;
const MAGIC: u32 = 0x7371_7368;
const ZSTD: u16 = 6;
const VERSION: (u16, u16) = (4, 0);
const FLAG_NO_XATTRS: u16 = 0x200;
const ABSENT: u64 = u64::MAX;
/// A block device's size: the image is filled up to it.
const DEVICE_BLOCK_BYTES: u64 = 4096;

/// What the superblock says.
struct Layout {
    inodes: u32,
    fragments: u32,
    ids: u16,
    root: Reference,
    bytes: u64,
    id_table: u64,
    xattr_table: u64,
    inode_table: u64,
    directory_table: u64,
    fragment_table: u64,
}

/// Writes the archive from `source` to `file`, which is at its beginning.
pub fn write(source: impl Read, file: impl Write + Seek) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, file);
    file.write_all(&[0; SUPERBLOCK_BYTES as usize])?;
    let mut data = DataWriter::new(file, SUPERBLOCK_BYTES)?;
    let mut tree = archive::read(source, &mut data)?;
    let (file, position, fragments) = data.finish(&mut tree)?;
    let mut out = Output { file, position };
    let layout = write_tables(&mut out, &tree, &fragments)?;
    let padding = out.position.next_multiple_of(DEVICE_BLOCK_BYTES) - out.position;
    out.write(&vec![
        0;
        usize::try_from(padding).map_err(io::Error::other)?
    ])?;
    out.file.seek(SeekFrom::Start(0))?;
    out.file.write_all(&superblock(&layout))?;
    out.file.flush()
}

struct Output<W> {
    file: W,
    position: u64,
}

impl<W: Write> Output<W> {
    /// Returns where the bytes are.
    fn write(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let start = self.position;
        self.file.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(start)
    }

    /// A table and then the places of its blocks, whose own place is returned.
    fn write_indexed(&mut self, table: Metadata) -> io::Result<u64> {
        let (bytes, blocks) = table.finish()?;
        let start = self.write(&bytes)?;
        let place = self.position;
        self.write_places(start, &blocks)?;
        Ok(place)
    }

    fn write_places(&mut self, start: u64, blocks: &[u64]) -> io::Result<()> {
        for block in blocks {
            self.write(&(start + block).to_le_bytes())?;
        }
        Ok(())
    }
}

fn write_tables<W: Write>(
    out: &mut Output<W>,
    tree: &Tree,
    fragments: &[FragmentBlock],
) -> io::Result<Layout> {
    let mut ids = Ids::default();
    let mut xattrs = Xattrs::new()?;
    let Tables {
        inodes,
        directories,
        root,
    } = tables(tree, &mut ids, &mut xattrs)?;
    let inode_table = out.write(&inodes.finish()?.0)?;
    let directory_table = out.write(&directories.finish()?.0)?;
    let fragment_table = out.write_indexed(fragment_table(fragments)?)?;
    let id_table = out.write_indexed(id_table(&ids)?)?;
    let xattr_table = write_xattrs(out, xattrs)?;
    Ok(Layout {
        inodes: u32::try_from(tree.inodes.len()).map_err(io::Error::other)?,
        fragments: u32::try_from(fragments.len()).map_err(io::Error::other)?,
        ids: u16::try_from(ids.table.len()).map_err(|_| invalid("too many users and groups"))?,
        root,
        bytes: out.position,
        id_table,
        xattr_table,
        inode_table,
        directory_table,
        fragment_table,
    })
}

struct Tables {
    inodes: Metadata,
    directories: Metadata,
    root: Reference,
}

/// Leaves first, then directories from the last to the first: what a directory lists is placed
/// before it.
fn tables(tree: &Tree, ids: &mut Ids, xattrs: &mut Xattrs) -> io::Result<Tables> {
    let mut inodes = Metadata::new()?;
    let mut directories = Metadata::new()?;
    let mut places = vec![Reference::default(); tree.inodes.len()];
    let is_directory = |id: &usize| matches!(tree.inodes[*id].kind, Kind::Directory { .. });
    let all = 0..tree.inodes.len();
    let leaves = all.clone().filter(|id| !is_directory(id));
    for id in leaves.chain(all.rev().filter(is_directory)) {
        let inode = &tree.inodes[id];
        let common = Common {
            id,
            attributes: &inode.attributes,
            links: inode.links,
            xattrs: xattrs.index(&inode.attributes.xattrs)?,
        };
        let bytes = match &inode.kind {
            Kind::File(data) => inodes::file(&common, data, ids)?,
            Kind::Symlink(target) => inodes::symlink(&common, target, ids)?,
            Kind::Fifo => inodes::fifo(&common, ids)?,
            Kind::Directory { parent, entries } => {
                let bytes = listing(entries, &tree.inodes, &places)?;
                let place = directories.position()?;
                directories.write(&bytes)?;
                let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
                let listing = Listing { place, size };
                inodes::directory(&common, parent_number(id, *parent, tree)?, &listing, ids)?
            }
        };
        places[id] = inodes.position()?;
        inodes.write(&bytes)?;
    }
    let root = places[ROOT];
    Ok(Tables {
        inodes,
        directories,
        root,
    })
}

/// The root's parent is one more than the last number, as mksquashfs has it.
fn parent_number(id: usize, parent: usize, tree: &Tree) -> io::Result<u32> {
    inodes::number(if id == ROOT {
        tree.inodes.len()
    } else {
        parent
    })
}

fn fragment_table(fragments: &[FragmentBlock]) -> io::Result<Metadata> {
    let mut table = Metadata::new()?;
    for FragmentBlock { start, size } in fragments {
        table.write(&start.to_le_bytes())?;
        table.write(&u64::from(*size).to_le_bytes())?;
    }
    Ok(table)
}

fn id_table(ids: &Ids) -> io::Result<Metadata> {
    let mut table = Metadata::new()?;
    for id in &ids.table {
        table.write(&id.to_le_bytes())?;
    }
    Ok(table)
}

/// Nothing at all when no file has an attribute.
fn write_xattrs<W: Write>(out: &mut Output<W>, xattrs: Xattrs) -> io::Result<u64> {
    let xattrs = xattrs.finish()?;
    if xattrs.count == 0 {
        return Ok(ABSENT);
    }
    let pairs = out.write(&xattrs.pairs)?;
    let table = out.write(&xattrs.table)?;
    let place = out.write(&pairs.to_le_bytes())?;
    out.write(&u64::from(xattrs.count).to_le_bytes())?;
    out.write_places(table, &xattrs.blocks)?;
    Ok(place)
}

fn superblock(layout: &Layout) -> Vec<u8> {
    let flags = if layout.xattr_table == ABSENT {
        FLAG_NO_XATTRS
    } else {
        0
    };
    let block_bytes = BLOCK_BYTES as u32;
    let modified = 0u32;
    let mut bytes = Vec::with_capacity(SUPERBLOCK_BYTES as usize);
    for field in [
        MAGIC,
        layout.inodes,
        modified,
        block_bytes,
        layout.fragments,
    ] {
        bytes.extend(field.to_le_bytes());
    }
    for field in [ZSTD, BLOCK_LOG, flags, layout.ids, VERSION.0, VERSION.1] {
        bytes.extend(field.to_le_bytes());
    }
    for field in [
        layout.root.packed(),
        layout.bytes,
        layout.id_table,
        layout.xattr_table,
        layout.inode_table,
        layout.directory_table,
        layout.fragment_table,
        ABSENT,
    ] {
        bytes.extend(field.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tar::{Builder, EntryType, Header};

    type Member<'a> = (&'a str, EntryType, &'a [u8]);

    fn archive(members: &[Member]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, kind, data) in members {
            let mut header = Header::new_ustar();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            let is_file = *kind == EntryType::Regular;
            header.set_size(if is_file { data.len() as u64 } else { 0 });
            if !is_file {
                let target = std::str::from_utf8(data).unwrap();
                header.set_link_name_literal(target).unwrap();
            }
            header.set_cksum();
            builder
                .append(&header, if is_file { *data } else { &[] })
                .unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn image(members: &[Member]) -> io::Result<Vec<u8>> {
        let mut file = Cursor::new(Vec::new());
        write(&archive(members)[..], &mut file)?;
        Ok(file.into_inner())
    }

    #[test]
    fn is_the_same_at_every_run_and_fills_whole_blocks_of_a_device() {
        let large: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
        let members = [
            ("d", EntryType::Directory, &b""[..]),
            ("d/large", EntryType::Regular, &large),
            ("d/same", EntryType::Link, b"d/large"),
            ("d/zeros", EntryType::Regular, &[0; 300_000]),
            ("link", EntryType::Symlink, b"d/large"),
        ];
        let first = image(&members).unwrap();
        assert_eq!(&first[..4], b"hsqs");
        assert_eq!(first.len() % 4096, 0);
        assert!(first == image(&members).unwrap());
    }

    #[test]
    fn refuses_what_a_file_system_cannot_hold() {
        let file = EntryType::Regular;
        let refused: [&[Member]; 8] = [
            &[("../out", file, b"")],
            &[("a/../../out", file, b"")],
            &[("no/directory", file, b"")],
            &[("twice", file, b""), ("twice", file, b"")],
            &[("f", file, b""), ("f/below", file, b"")],
            &[("hard", EntryType::Link, b"absent")],
            &[
                ("d", EntryType::Directory, b""),
                ("h", EntryType::Link, b"d"),
            ],
            &[("device", EntryType::Char, b"")],
        ];
        for members in refused {
            let error = image(members).err().map(|error| error.kind());
            assert_eq!(error, Some(io::ErrorKind::InvalidData), "{members:?}");
        }
    }

    #[test]
    fn refuses_an_archive_that_ends_in_a_file() {
        let mut bytes = archive(&[("f", EntryType::Regular, &[7; 5000])]);
        bytes.truncate(2000);
        let mut file = Cursor::new(Vec::new());
        assert!(write(&bytes[..], &mut file).is_err());
    }
}
