//! The tree in memory: inodes without their data, and names.

use crate::invalid;
use std::collections::BTreeMap;
use std::io;

/// An index of [`Tree::inodes`]. The inode number in the image is one more.
pub type InodeId = usize;

pub const ROOT: InodeId = 0;

/// Linux: NAME_MAX.
const MAX_NAME_BYTES: usize = 255;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// 0 to 0o7777.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Full names, in the order of their bytes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug)]
pub struct Inode {
    pub attributes: Attributes,
    pub links: u32,
    pub kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    Directory {
        parent: InodeId,
        /// In the order of their bytes, which the kernel relies on.
        entries: BTreeMap<Vec<u8>, InodeId>,
    },
    File(FileData),
    Symlink(Vec<u8>),
    Fifo,
}

/// Where a file's bytes are in the image.
#[derive(Debug, Default)]
pub struct FileData {
    pub size: u64,
    /// Offset of the first block.
    pub start: u64,
    /// Sizes as the image has them: 0 is a block of zeros, bit 24 an uncompressed one.
    pub blocks: Vec<u32>,
    /// Bytes of blocks of zeros.
    pub sparse: u64,
    pub fragment: Option<Fragment>,
}

/// The end of a file, or a small file: its place in a block that several share.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    pub index: u32,
    pub offset: u32,
}

pub struct Tree {
    pub inodes: Vec<Inode>,
}

impl Default for Tree {
    fn default() -> Self {
        let attributes = Attributes {
            mode: 0o755,
            ..Attributes::default()
        };
        Self {
            inodes: vec![directory(attributes, ROOT)],
        }
    }
}

fn directory(attributes: Attributes, parent: InodeId) -> Inode {
    let entries = BTreeMap::new();
    Inode {
        attributes,
        links: 2,
        kind: Kind::Directory { parent, entries },
    }
}

impl Tree {
    /// Adds a directory, or gives one that is there its attributes: the root by an empty path.
    pub fn add_directory(&mut self, path: &[u8], attributes: Attributes) -> io::Result<()> {
        if let Some(id) = self.find(path)? {
            if !matches!(self.inodes[id].kind, Kind::Directory { .. }) {
                return Err(about(path, "is there twice"));
            }
            self.inodes[id].attributes = attributes;
            return Ok(());
        }
        let (parent, _) = self.place(path)?;
        self.add(path, directory(attributes, parent)).map(drop)
    }

    /// Adds a file or a symbolic link and returns its inode.
    pub fn add_leaf(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        kind: Kind,
    ) -> io::Result<InodeId> {
        let links = 1;
        self.add(
            path,
            Inode {
                attributes,
                links,
                kind,
            },
        )
    }

    /// Adds another name of a file.
    pub fn add_link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let id = self
            .find(target)?
            .ok_or_else(|| about(path, "is a link to what is not there"))?;
        if matches!(self.inodes[id].kind, Kind::Directory { .. }) {
            return Err(about(path, "is a hard link to a directory"));
        }
        self.name(path, id)?;
        self.inodes[id].links += 1;
        Ok(())
    }

    pub fn file_mut(&mut self, id: InodeId) -> &mut FileData {
        match &mut self.inodes[id].kind {
            Kind::File(data) => data,
            _ => unreachable!("data belongs to a file"),
        }
    }

    fn add(&mut self, path: &[u8], inode: Inode) -> io::Result<InodeId> {
        let id = self.inodes.len();
        let is_directory = matches!(inode.kind, Kind::Directory { .. });
        let parent = self.name(path, id)?;
        self.inodes.push(inode);
        if is_directory {
            self.inodes[parent].links += 1;
        }
        Ok(id)
    }

    /// Enters a name for an inode and returns the directory.
    fn name(&mut self, path: &[u8], id: InodeId) -> io::Result<InodeId> {
        let (parent, name) = self.place(path)?;
        let Kind::Directory { entries, .. } = &mut self.inodes[parent].kind else {
            return Err(about(path, "is in what is not a directory"));
        };
        match entries.insert(name, id) {
            None => Ok(parent),
            Some(_) => Err(about(path, "is there twice")),
        }
    }

    /// The directory of a path, which must be there, and the last name.
    fn place(&self, path: &[u8]) -> io::Result<(InodeId, Vec<u8>)> {
        let mut names = names(path)?;
        let name = names.pop().ok_or_else(|| about(path, "is the root"))?;
        let parent = self.walk(&names);
        let parent = parent.ok_or_else(|| about(path, "has no directory before it"))?;
        Ok((parent, name.to_vec()))
    }

    fn find(&self, path: &[u8]) -> io::Result<Option<InodeId>> {
        Ok(self.walk(&names(path)?))
    }

    fn walk(&self, names: &[&[u8]]) -> Option<InodeId> {
        names
            .iter()
            .try_fold(ROOT, |id, name| match &self.inodes[id].kind {
                Kind::Directory { entries, .. } => entries.get(*name).copied(),
                _ => None,
            })
    }
}

fn names(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    let names: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect();
    let is_safe = |name: &&[u8]| *name != b".." && name.len() <= MAX_NAME_BYTES;
    if names.iter().all(is_safe) && !path.contains(&0) {
        Ok(names)
    } else {
        Err(about(path, "is not a path in a file system"))
    }
}

fn about(path: &[u8], problem: &str) -> io::Error {
    invalid(format!("{} {problem}", String::from_utf8_lossy(path)))
}
