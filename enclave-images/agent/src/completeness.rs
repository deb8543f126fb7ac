//! Proof that the kernel has unpacked the whole image. When memory or inodes run out the kernel
//! leaves out files, or cuts one short, and boots what there is: its init has to look.
//!
//! The last entry of the application ramdisk, `/unpacked.json`, holds the number of entries before
//! it and their bytes, and is measured with them. It is the last to be unpacked, so it is missing
//! where anything before it had no room; and what is there is counted: not the lengths alone, because
//! the kernel gives a file its length before it writes its bytes (init/initramfs.c, do_name).
#![forbid(unsafe_code)]

use crate::failure::Failure;
use crate::manifest::read_file;
use nix::sys::statvfs::statvfs;
use serde::Deserialize;
use std::io::{self, ErrorKind};
use std::ops::AddAssign;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

const STEP: &str = "unpack the image";
const MIB: u64 = 1 << 20;
/// A file takes whole pages, and its inode about a quarter of one.
const ENTRY_BYTES: u64 = 4096 + 1024;
/// The unit of `st_blocks`, whatever the file system's own is (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// `/unpacked.json`: version 2 for an image whose root file system is mounted, not unpacked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Promise {
    version: u32,
    /// The entries in the ramdisk's root, but for `/unpacked.json` itself.
    names: Vec<PathBuf>,
    /// What is in and below them.
    entries: u64,
    bytes: u64,
    /// The length of the root file system's image, which version 2 has.
    image_bytes: Option<u64>,
}

/// Names in directories, and the bytes of files and symbolic links behind them, each name by itself.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Contents {
    entries: u64,
    bytes: u64,
}

/// Compares the initramfs around us with what the image says that it holds. To be called before
/// anything is mounted or written there.
///
/// An image without `/cloister.yaml`, as AWS's tools make it, promises nothing; the keeper computes what
/// it needs.
///
/// Returns the length of the root file system's image where there is one.
pub fn check() -> Result<Option<u64>, Failure> {
    let promise = match read_file("/unpacked.json") {
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Ok(None) if !Path::new("/cloister.yaml").exists() => return Ok(None),
        Ok(None) => Err(io::Error::new(
            ErrorKind::NotFound,
            "its last file is missing",
        )),
        Err(error) => Err(error),
    };
    let promise: Promise = promise.map_err(|error| Failure::new(STEP, cut_short(&error)))?;
    if promise.version != if promise.image_bytes.is_some() { 2 } else { 1 } {
        let error = format!("/unpacked.json has version {}", promise.version);
        return Err(Failure::new(STEP, error));
    }
    let found = count(&promise.names).map_err(|error| Failure::new(STEP, cut_short(&error)))?;
    let promised = Contents {
        entries: promise.entries,
        bytes: promise.bytes,
    };
    if found == promised {
        return Ok(promise.image_bytes);
    }
    let reason = format!("it has {promised}, of which {found} were unpacked");
    Err(Failure::new(
        STEP,
        format!("{}{}", cut_short(&reason), shortage(promised)),
    ))
}

fn cut_short(reason: &dyn fmt::Display) -> String {
    format!("the image was not unpacked whole, as when memory runs out: {reason}")
}

/// How much more memory would do, where the file system has a limit that was reached.
fn shortage(promised: Contents) -> String {
    let Ok(root) = statvfs("/") else {
        return String::new();
    };
    let limit = root.blocks() * root.fragment_size();
    let needed = promised.bytes + promised.entries * ENTRY_BYTES;
    match needed.checked_sub(limit) {
        Some(missing) if limit > 0 => {
            format!(
                "; give it {} MiB more",
                (missing + missing / 4).div_ceil(MIB)
            )
        }
        _ => String::new(),
    }
}

/// Counts without following links, and without recursion: a deep tree is not a deep stack.
fn count(names: &[PathBuf]) -> io::Result<Contents> {
    let mut found = Contents::default();
    // Relative to the working directory, `/`: an absolute path could be one byte too long.
    let mut pending = Vec::new();
    for name in names {
        match fs::symlink_metadata(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            metadata => found += see(name.clone(), &metadata?, &mut pending),
        }
    }
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            found += see(entry.path(), &entry.metadata()?, &mut pending);
        }
    }
    Ok(found)
}

fn see(path: PathBuf, metadata: &fs::Metadata, pending: &mut Vec<PathBuf>) -> Contents {
    if metadata.is_dir() {
        pending.push(path);
    }
    let bytes = match metadata.file_type() {
        kind if kind.is_dir() => 0,
        kind if kind.is_file() => written(metadata),
        _ => metadata.len(),
    };
    Contents { entries: 1, bytes }
}

/// The bytes of a file that are there. The kernel writes zeros like any others, so a file of an
/// initramfs has no holes unless it was cut short.
fn written(metadata: &fs::Metadata) -> u64 {
    metadata.len().min(metadata.blocks() * BLOCK_BYTES)
}

impl AddAssign for Contents {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries with {} bytes", self.entries, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn does_not_count_what_a_file_has_in_length_only() {
        let path = std::env::temp_dir().join(format!("completeness-{}-cut", std::process::id()));
        let file = fs::File::create(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        let found = count(std::slice::from_ref(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!((found.entries, found.bytes), (1, 0));
    }

    #[test]
    fn counts_each_name_once_and_follows_no_link() {
        let root = std::env::temp_dir().join(format!("completeness-{}", std::process::id()));
        fs::create_dir_all(root.join("rootfs/a/b")).unwrap();
        fs::write(root.join("rootfs/a/file"), [0; 5000]).unwrap();
        fs::hard_link(root.join("rootfs/a/file"), root.join("rootfs/a/b/same")).unwrap();
        symlink("/proc", root.join("rootfs/link")).unwrap();
        fs::write(root.join("cmd"), "sh\n").unwrap();
        let names = ["rootfs", "cmd", "absent"].map(|name| root.join(name));
        let found = count(&names).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let bytes = 2 * 5000 + 5 + 3;
        assert_eq!(found, Contents { entries: 7, bytes });
    }
}
