//! The file systems that every enclave has. As AWS's init, except that control groups are the
//! unified hierarchy (version 2): a version 1 one that no manager delegates is of use to nobody,
//! and container runtimes have left it.
#![forbid(unsafe_code)]

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
const MOUNTS: [Mount; 8] = [
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
];

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
        mount_one(entry).step(&format!("mount {}", entry.target))?;
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
