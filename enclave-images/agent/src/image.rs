//! A root file system that stays compressed in the ramdisk: a SquashFS image, read from where the
//! kernel keeps the ramdisks (`retain_initrd` on the command line, /sys/firmware/initrd), under an
//! overlay in memory.
//!
//! The image is a member of the application ramdisk that has a body but no file type: the kernel
//! steps over it, so it is in memory once, and no lack of memory can cut it short.
#![forbid(unsafe_code)]

use crate::kernel::{LoopTarget, attach_loop};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

const RAMDISKS: &str = "/sys/firmware/initrd";
/// The member's name, and the magic number that its body begins with.
const NAME: &[u8] = b"rootfs.squashfs";
const MAGIC: [u8; 4] = *b"hsqs";
/// The superblock's field `bytes_used`.
const SIZE_OFFSET: usize = 40;
const SUPERBLOCK_BYTES: usize = 96;
const HEADER_BYTES: u64 = 110;

const IMAGE: &str = "/image";
const CHANGES: &str = "/changes";
const ROOTFS: &str = "/rootfs";
/// What the app may write into its root: half of the memory that is left, as in any tmpfs, and as
/// many files as that has pages.
const CHANGES_OPTIONS: &str = "mode=0755,size=50%";
/// A directory can be renamed, and a change of owner or mode does not copy the file, as on any other
/// file system.
const OVERLAY_OPTIONS: &str = "redirect_dir=on,metacopy=on";

/// Mounts the image of `promised` bytes at /rootfs.
pub fn mount_root(promised: u64) -> io::Result<()> {
    let none = MsFlags::empty();
    for directory in ["/sys", IMAGE, CHANGES, ROOTFS] {
        fs::create_dir_all(directory)?;
    }
    mount(Some("sysfs"), "/sys", Some("sysfs"), none, None::<&str>)?;
    let mut ramdisks = File::open(RAMDISKS).map_err(explain_absence)?;
    let place = find(&mut ramdisks)?;
    check_whole(&mut ramdisks, &place, promised)?;
    let device = attach_loop(&ramdisks, &place)?;
    // The ramdisks' file gives a page at a time: larger requests would go round once per page.
    let name = device.trim_start_matches("/dev/");
    fs::write(format!("/sys/block/{name}/queue/max_sectors_kb"), "4")?;
    let read_only = MsFlags::MS_RDONLY;
    mount(
        Some(device.as_str()),
        IMAGE,
        Some("squashfs"),
        read_only,
        None::<&str>,
    )?;
    mount_overlay()?;
    // The overlay holds what is below it; nothing else needs a name for it.
    for directory in [IMAGE, CHANGES, "/sys"] {
        umount2(directory, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}

fn explain_absence(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::NotFound {
        invalid("the kernel did not keep the ramdisks: retain_initrd is not on its command line")
    } else {
        error
    }
}

fn mount_overlay() -> io::Result<()> {
    let none = MsFlags::empty();
    mount(
        Some("tmpfs"),
        CHANGES,
        Some("tmpfs"),
        none,
        Some(CHANGES_OPTIONS),
    )?;
    let upper = format!("{CHANGES}/upper");
    let work = format!("{CHANGES}/work");
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    // The upper directory is what the app sees as its root's owner and mode.
    let root = fs::metadata(IMAGE)?;
    chown(&upper, Some(root.uid()), Some(root.gid()))?;
    fs::set_permissions(&upper, fs::Permissions::from_mode(root.mode() & 0o7777))?;
    let options = format!("lowerdir={IMAGE},upperdir={upper},workdir={work},{OVERLAY_OPTIONS}");
    mount(
        Some("overlay"),
        ROOTFS,
        Some("overlay"),
        none,
        Some(options.as_str()),
    )?;
    Ok(())
}

/// Finds the member by the headers alone: newc cpio archives, one after the other, with zeros between
/// them, as loaders put them.
fn find(ramdisks: &mut (impl Read + Seek)) -> io::Result<LoopTarget> {
    let total = ramdisks.seek(SeekFrom::End(0))?;
    let mut position = 0u64;
    while position + HEADER_BYTES <= total {
        let mut header = [0; HEADER_BYTES as usize];
        ramdisks.seek(SeekFrom::Start(position))?;
        ramdisks.read_exact(&mut header)?;
        if header[..4] == [0; 4] {
            position += 4;
            continue;
        }
        if &header[..6] != b"070701" {
            return Err(invalid("a ramdisk is not an uncompressed cpio archive"));
        }
        let size = field(&header, 6)?;
        let name_size = field(&header, 11)?;
        let body = align(position + HEADER_BYTES + name_size);
        let mut name = vec![0; usize::try_from(name_size).unwrap_or(0).min(4096)];
        ramdisks.read_exact(&mut name)?;
        if name.strip_suffix(b"\0") == Some(NAME) {
            return Ok(LoopTarget { offset: body, size });
        }
        position = align(body + size);
    }
    Err(invalid("the ramdisks have no rootfs.squashfs"))
}

/// A number of the header: eight hexadecimal digits.
fn field(header: &[u8; 110], index: usize) -> io::Result<u64> {
    let start = 6 + index * 8;
    let text = str::from_utf8(&header[start..start + 8]).map_err(|_| invalid("header"))?;
    u64::from_str_radix(text, 16).map_err(|_| invalid("a ramdisk has a malformed header"))
}

fn align(position: u64) -> u64 {
    position.next_multiple_of(4)
}

/// All of the image is in memory: it has the length that was promised, and ends before the ramdisks.
fn check_whole(
    ramdisks: &mut (impl Read + Seek),
    place: &LoopTarget,
    promised: u64,
) -> io::Result<()> {
    let end = ramdisks.seek(SeekFrom::End(0))?;
    if place.size != promised || place.offset + place.size > end {
        let size = place.size.min(end.saturating_sub(place.offset));
        return Err(invalid(&format!(
            "it has {promised} bytes, of which {size} are there"
        )));
    }
    let mut superblock = [0; SUPERBLOCK_BYTES];
    ramdisks.seek(SeekFrom::Start(place.offset))?;
    ramdisks.read_exact(&mut superblock)?;
    let used = superblock[SIZE_OFFSET..SIZE_OFFSET + 8].try_into();
    let used = u64::from_le_bytes(used.map_err(|_| invalid("superblock"))?);
    if superblock[..4] == MAGIC && used <= place.size {
        Ok(())
    } else {
        Err(invalid("it is not a whole SquashFS image"))
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn member(name: &str, body: &[u8]) -> Vec<u8> {
        let fields = [0, 0, 0, 0, 1, 0, body.len(), 0, 0, 0, 0, name.len() + 1, 0];
        let mut bytes = b"070701".to_vec();
        for field in fields {
            bytes.extend(format!("{field:08X}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn squashfs(length: usize) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.resize(length, 7);
        bytes[SIZE_OFFSET..SIZE_OFFSET + 8].copy_from_slice(&(length as u64).to_le_bytes());
        bytes
    }

    fn ramdisks(gap: usize, image: &[u8]) -> (Cursor<Vec<u8>>, usize) {
        let trailer = member("TRAILER!!!", b"");
        let mut bytes = [member("init", &[1; 1001]), trailer.clone(), vec![0; gap]].concat();
        bytes.extend(member("env", b"A=b"));
        let head = member("rootfs.squashfs", b"").len();
        let offset = bytes.len() + head;
        bytes.extend(member("rootfs.squashfs", image));
        bytes.extend([member("unpacked.json", b"{}"), trailer].concat());
        (Cursor::new(bytes), offset)
    }

    #[test]
    fn finds_the_image_behind_other_ramdisks_and_what_a_loader_puts_between_them() {
        let image = squashfs(5001);
        for gap in [0, 4, 508, 4096] {
            let (mut bytes, offset) = ramdisks(gap, &image);
            let place = find(&mut bytes).unwrap();
            assert_eq!((place.offset, place.size), (offset as u64, 5001), "{gap}");
            check_whole(&mut bytes, &place, 5001).unwrap();
        }
    }

    #[test]
    fn refuses_an_image_that_is_cut_short_at_any_place() {
        let (bytes, _) = ramdisks(0, &squashfs(5001));
        let bytes = bytes.into_inner();
        let end = bytes.len() - member("unpacked.json", b"{}").len() - 124 - 3;
        for length in (0..end).step_by(37) {
            let mut cut = Cursor::new(bytes[..length].to_vec());
            let found = find(&mut cut).and_then(|place| check_whole(&mut cut, &place, 5001));
            assert!(found.is_err(), "{length} bytes");
        }
    }

    #[test]
    fn refuses_an_image_of_another_length_or_kind() {
        let (mut bytes, _) = ramdisks(0, &squashfs(5001));
        let place = find(&mut bytes).unwrap();
        assert!(check_whole(&mut bytes, &place, 5000).is_err());
        let (mut bytes, _) = ramdisks(0, &[7; 5001]);
        assert!(check_whole(&mut bytes, &place, 5001).is_err());
        let (mut bytes, _) = ramdisks(0, &squashfs(5001)[..90]);
        let place = find(&mut bytes).unwrap();
        assert!(check_whole(&mut bytes, &place, 90).is_err());
        assert!(find(&mut Cursor::new(b"\x1f\x8b".repeat(200))).is_err());
    }
}
