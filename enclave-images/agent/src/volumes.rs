//! The directories that an image declares as its volumes. On the overlay that the root may be, not
//! every program works: another overlay cannot lie there, and a file that is written is copied first. So
//! each volume there is a tmpfs of its own, with what the image has in it. Where the root is a tmpfs
//! already, or another mount is, the directory is as good as it is.
#![forbid(unsafe_code)]

use crate::failure::{Failure, Step};
use crate::kernel;
use nix::fcntl::AT_FDCWD;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, UtimensatFlags, utimensat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, fstatfs};
use nix::sys::time::TimeSpec;
use nix::unistd::mkfifo;
use std::collections::HashMap;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

const MODE_BITS: u32 = 0o7777;

/// Mounts them in the app's root. A directory that the image lacks is made, as container runtimes do.
pub fn mount_all(volumes: &[PathBuf]) -> Result<(), Failure> {
    for volume in volumes {
        mount_one(volume).step(&format!("mount the volume {}", volume.display()))?;
    }
    Ok(())
}

fn mount_one(volume: &Path) -> io::Result<()> {
    fs::create_dir_all(volume)?;
    let image = File::open(volume)?;
    if fstatfs(&image)?.filesystem_type() != OVERLAYFS_SUPER_MAGIC {
        return Ok(());
    }
    let top = image.metadata()?;
    let mode = top.mode() & MODE_BITS;
    let options = format!("mode={mode:o},uid={},gid={}", top.uid(), top.gid());
    mount(
        Some("tmpfs"),
        volume,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(options.as_str()),
    )?;
    // The mount hides the image's directory, but not from who has it open.
    let hidden = PathBuf::from(format!("/proc/self/fd/{}", image.as_raw_fd()));
    copy_contents(&hidden, volume)
}

/// Without recursion: a deep tree is not a deep stack.
fn copy_contents(from: &Path, to: &Path) -> io::Result<()> {
    let mut links = HashMap::new();
    let mut pending = vec![PathBuf::new()];
    let mut directories = Vec::new();
    while let Some(directory) = pending.pop() {
        directories.push(directory.clone());
        for entry in fs::read_dir(from.join(&directory))? {
            let entry = entry?;
            let name = directory.join(entry.file_name());
            let (source, target) = (from.join(&name), to.join(&name));
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                pending.push(name);
            } else if metadata.nlink() > 1 {
                let file = (metadata.dev(), metadata.ino());
                if let Some(first) = links.get(&file) {
                    fs::hard_link(first, &target)?;
                    continue;
                }
                links.insert(file, target.clone());
            }
            copy_one(&source, &target, &metadata)?;
        }
    }
    // Each of its files gave it another.
    for directory in directories {
        copy_time(&to.join(&directory), &fs::metadata(from.join(&directory))?)?;
    }
    Ok(())
}

fn copy_time(target: &Path, metadata: &Metadata) -> io::Result<()> {
    let time = TimeSpec::new(metadata.mtime(), metadata.mtime_nsec());
    utimensat(
        AT_FDCWD,
        target,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )?;
    Ok(())
}

/// With owner, mode and extended attributes, in this order: each clears some of the next; and with its time.
fn copy_one(source: &Path, target: &Path, metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_dir() {
        fs::create_dir(target)?;
    } else if kind.is_symlink() {
        symlink(fs::read_link(source)?, target)?;
    } else if kind.is_file() {
        fs::copy(source, target)?;
    } else if kind.is_fifo() {
        mkfifo(target, Mode::from_bits_truncate(metadata.mode()))?;
    } else {
        return Ok(());
    }
    lchown(target, Some(metadata.uid()), Some(metadata.gid()))?;
    if !kind.is_symlink() {
        let mode = metadata.mode() & MODE_BITS;
        fs::set_permissions(target, Permissions::from_mode(mode))?;
    }
    kernel::copy_attributes(source, target)?;
    copy_time(target, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_links_modes_times_and_pipes_as_they_are() {
        let root = std::env::temp_dir().join(format!("volumes-{}", std::process::id()));
        let (from, to) = (root.join("from"), root.join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a/file"), "text").unwrap();
        fs::set_permissions(from.join("a/file"), Permissions::from_mode(0o4750)).unwrap();
        fs::hard_link(from.join("a/file"), from.join("a/b/same")).unwrap();
        symlink("/nowhere", from.join("link")).unwrap();
        mkfifo(&from.join("pipe"), Mode::from_bits_truncate(0o622)).unwrap();
        fs::set_permissions(from.join("a/b"), Permissions::from_mode(0o1700)).unwrap();
        let old = TimeSpec::new(1_000_000_000, 5);
        for name in ["a/b", "a", "link", ""] {
            let flags = UtimensatFlags::NoFollowSymlink;
            utimensat(AT_FDCWD, &from.join(name), &old, &old, flags).unwrap();
        }
        copy_contents(&from, &to).unwrap();
        let look = |name: &str| fs::symlink_metadata(to.join(name)).unwrap();
        let found = (
            fs::read_to_string(to.join("a/b/same")).unwrap(),
            look("a/file").mode() & MODE_BITS,
            look("a/file").ino() == look("a/b/same").ino(),
            look("a/b").mode() & MODE_BITS,
            fs::read_link(to.join("link")).unwrap(),
            look("pipe").file_type().is_fifo(),
        );
        let times =
            ["a/b", "a", "link", ""].map(|name| (look(name).mtime(), look(name).mtime_nsec()));
        fs::remove_dir_all(&root).unwrap();
        let link = PathBuf::from("/nowhere");
        assert_eq!(found, ("text".into(), 0o4750, true, 0o1700, link, true));
        assert_eq!(times, [(1_000_000_000, 5); 4]);
    }
}
