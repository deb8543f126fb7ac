//! The file systems that every enclave has. As AWS's init, except that control groups are the
//! unified hierarchy (version 2): a version 1 hierarchy without a manager serves no purpose,
//! and container runtimes have left it.
#![forbid(unsafe_code)]

use crate::console;
use crate::failure::{Failure, Step};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use std::os::unix::fs::symlink;
use std::{fs, io};

struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: MsFlags,
    options: &'static str,
}

const NOSUID: MsFlags = MsFlags::MS_NOSUID;
const NODEV: MsFlags = MsFlags::MS_NODEV;
const NOEXEC: MsFlags = MsFlags::MS_NOEXEC;

const DEVICES: Mount = Mount {
    kind: "devtmpfs",
    target: "/dev",
    flags: NOSUID.union(NOEXEC),
    options: "mode=0755",
};

/// In the order of mounting: what lies inside another follows it.
const MOUNTS: [Mount; 9] = [
    DEVICES,
    Mount {
        kind: "proc",
        target: "/proc",
        flags: NOSUID.union(NODEV).union(NOEXEC),
        options: "",
    },
    Mount {
        kind: "sysfs",
        target: "/sys",
        flags: NOSUID.union(NODEV).union(NOEXEC),
        options: "",
    },
    Mount {
        kind: "cgroup2",
        target: "/sys/fs/cgroup",
        flags: NOSUID.union(NODEV).union(NOEXEC),
        options: "",
    },
    Mount {
        kind: "tmpfs",
        target: "/run",
        flags: NOSUID.union(NODEV),
        options: "mode=0755",
    },
    Mount {
        kind: "tmpfs",
        target: "/tmp",
        flags: NOSUID.union(NODEV),
        options: "mode=1777",
    },
    Mount {
        kind: "tmpfs",
        target: "/dev/shm",
        flags: NOSUID.union(NODEV),
        options: "mode=1777",
    },
    Mount {
        kind: "devpts",
        target: "/dev/pts",
        flags: NOSUID.union(NOEXEC),
        options: "gid=5,mode=0620,ptmxmode=0666",
    },
    Mount {
        kind: "mqueue",
        target: "/dev/mqueue",
        flags: NOSUID.union(NODEV).union(NOEXEC),
        options: "",
    },
];

/// Where an image may have something of its own, which a mount would hide: sockets' directories
/// with their owners below /run, for instance. Then the root file system serves as well.
const KEPT_UNLESS_EMPTY: [&str; 2] = ["/run", "/tmp"];

/// Conventional names in /dev for the standard streams.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Mounts /dev in the initramfs: the console is there. A kernel that mounted it already is fine.
pub fn mount_devices() -> io::Result<()> {
    match mount_one(&DEVICES) {
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => Ok(()),
        result => result,
    }
}

/// Mounts everything in the app's root, making mount points that an image lacks.
pub fn mount_all() -> Result<(), Failure> {
    for entry in &MOUNTS {
        if KEPT_UNLESS_EMPTY.contains(&entry.target) && !is_empty(entry.target) {
            continue;
        }
        match mount_one(entry) {
            // A kernel built without it; the app may not need it.
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => {
                console::say(&format!("mount {}: {error}", entry.target));
            }
            result => result.step(&format!("mount {}", entry.target))?,
        }
    }
    for (link, target) in LINKS {
        match symlink(target, link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Failure::new(format!("link {link}"), error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_empty(directory: &str) -> bool {
    fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}

fn mount_one(entry: &Mount) -> io::Result<()> {
    fs::create_dir_all(entry.target)?;
    mount(
        Some(entry.kind),
        entry.target,
        Some(entry.kind),
        entry.flags,
        Some(entry.options),
    )?;
    Ok(())
}
