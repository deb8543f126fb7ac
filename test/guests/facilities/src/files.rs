//! File systems. /images holds one of each kind, with the file `greeting` in it.
#![forbid(unsafe_code)]

use crate::netlink::present;
use crate::system::{address_mut, call, ioctl, mount, mount_read_only, number, unmount};
use crate::{Outcome, Probe, ensure};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

/// linux/loop.h
const LOOP_CTL_GET_FREE: u64 = 0x4c82;
const LOOP_SET_FD: u64 = 0x4c00;
const LOOP_CLR_FD: u64 = 0x4c01;
/// linux/fscrypt.h: `_IOWR('f', 23, struct fscrypt_add_key_arg)`
const FS_IOC_ADD_ENCRYPTION_KEY: u64 = 0xc050_6617;

pub const PROBES: &[Probe] = &[
    ("overlay", overlay),
    ("loop", || attach("ext4").map(drop)),
    ("ext4", || mounts("ext4", "ext4")),
    ("fscrypt", || on_loop("ext4", "ext4", encryption)),
    ("squashfs-gzip", || mounts("squashfs-gzip", "squashfs")),
    ("squashfs-lz4", || mounts("squashfs-lz4", "squashfs")),
    ("squashfs-lzo", || mounts("squashfs-lzo", "squashfs")),
    ("squashfs-xz", || mounts("squashfs-xz", "squashfs")),
    ("squashfs-zstd", || mounts("squashfs-zstd", "squashfs")),
    ("erofs", || mounts("erofs", "erofs")),
    ("nfs", || is_known("nfs4")),
    ("quota", || {
        let sync_all = 0x0080_0001 << 8;
        present(call(libc::SYS_quotactl, &[sync_all, 0, 0, 0]))
    }),
    ("configfs", || is_known("configfs").or(is_known("pstore"))),
    ("debugfs", || is_known("debugfs")),
];

fn is_known(kind: &str) -> Outcome {
    let table = fs::read_to_string("/proc/filesystems")?;
    let names: Vec<&str> = table
        .lines()
        .filter_map(|line| line.rsplit('\t').next())
        .collect();
    ensure(names.contains(&kind), "not in /proc/filesystems")
}

fn overlay() -> Outcome {
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(format!("/tmp/layers/{name}"))?;
    }
    let options = "lowerdir=/tmp/layers/lower,upperdir=/tmp/layers/upper,workdir=/tmp/layers/work";
    mount("overlay", "/tmp/layers/merged", "overlay", options)
}

/// A loop device on an image: its path, which holds until the device is dropped.
struct LoopDevice {
    device: File,
    path: String,
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = ioctl(&self.device, LOOP_CLR_FD, 0);
    }
}

fn attach(image: &str) -> io::Result<LoopDevice> {
    let control = File::open("/dev/loop-control")?;
    let path = format!("/dev/loop{}", ioctl(&control, LOOP_CTL_GET_FREE, 0)?);
    let device = File::options().read(true).write(true).open(&path)?;
    let backing = File::options()
        .read(true)
        .write(true)
        .open(format!("/images/{image}"))?;
    ioctl(&device, LOOP_SET_FD, number(backing.as_raw_fd()))?;
    Ok(LoopDevice { device, path })
}

fn mounts(image: &str, kind: &str) -> Outcome {
    on_loop(image, kind, greets)
}

fn on_loop(image: &str, kind: &str, check: fn(&str) -> Outcome) -> Outcome {
    let device = attach(image)?;
    at_mount(&device.path, image, kind, check)
}

fn at_mount(source: &str, name: &str, kind: &str, check: fn(&str) -> Outcome) -> Outcome {
    let target = format!("/tmp/mounted-{name}");
    fs::create_dir_all(&target)?;
    mount(source, &target, kind, "").or_else(|_| mount_read_only(source, &target, kind))?;
    let outcome = check(&target);
    unmount(&target)?;
    outcome
}

fn greets(target: &str) -> Outcome {
    let greeting = fs::read_to_string(format!("{target}/greeting"))?;
    ensure(greeting == "hello\n".repeat(1000), "the file differs")
}

/// Adds a key to a file system that has the feature `encrypt`.
fn encryption(target: &str) -> Outcome {
    const KEY_BYTES: usize = 64;
    // struct fscrypt_add_key_arg: a specifier of type FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER, the key's size.
    let mut argument = [0u32; 20 + KEY_BYTES / 4];
    argument[0] = 2;
    argument[10] = 64;
    argument[20..].fill(7);
    let directory = File::open(target)?;
    ioctl(
        &directory,
        FS_IOC_ADD_ENCRYPTION_KEY,
        address_mut(&mut argument),
    )
    .map(drop)
}
