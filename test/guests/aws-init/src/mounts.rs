//! The file systems of AWS's init.
#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{chroot, symlink};
use std::{env, fs};

const NOTHING: Option<&str> = None;
const NOSUID_NOEXEC: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);
const CLOSED: MsFlags = NOSUID_NOEXEC.union(MsFlags::MS_NODEV);

const CGROUPS: &str = "/sys/fs/cgroup";

const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

pub fn mount_devices() -> io::Result<()> {
    match mount(
        Some("dev"),
        "/dev",
        Some("devtmpfs"),
        NOSUID_NOEXEC,
        NOTHING,
    ) {
        Err(Errno::EBUSY) => Ok(()),
        result => Ok(result?),
    }
}

pub fn enter_rootfs() -> io::Result<()> {
    let rootfs = "/rootfs";
    mount(Some(rootfs), rootfs, NOTHING, MsFlags::MS_BIND, NOTHING)?;
    env::set_current_dir(rootfs)?;
    mount(Some("."), "/", NOTHING, MsFlags::MS_MOVE, NOTHING)?;
    chroot(".")?;
    env::set_current_dir("/")
}

/// /proc, /run, /tmp and /sys must be there, as AWS's tools make them.
pub fn mount_rest() -> io::Result<()> {
    mount(Some("proc"), "/proc", Some("proc"), CLOSED, NOTHING)?;
    for (link, target) in LINKS {
        unless_there(symlink(target, link))?;
    }
    mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        CLOSED,
        Some("mode=0755"),
    )?;
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), CLOSED, NOTHING)?;
    unless_there(fs::create_dir("/dev/shm"))?;
    mount(Some("shm"), "/dev/shm", Some("tmpfs"), CLOSED, NOTHING)?;
    unless_there(fs::create_dir("/dev/pts"))?;
    mount(
        Some("devpts"),
        "/dev/pts",
        Some("devpts"),
        NOSUID_NOEXEC,
        NOTHING,
    )?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), CLOSED, NOTHING)?;
    mount(
        Some("cgroup_root"),
        CGROUPS,
        Some("tmpfs"),
        CLOSED,
        Some("mode=0755"),
    )?;
    mount_control_groups()
}

/// Every enabled controller of /proc/cgroups, version 1, as a hierarchy of its own. The first one
/// that cannot be mounted ends AWS's init, and with it the enclave.
fn mount_control_groups() -> io::Result<()> {
    for line in fs::read_to_string("/proc/cgroups")?.lines().skip(1) {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, _hierarchy, _groups, enabled] = fields[..] else {
            return Err(ErrorKind::InvalidData.into());
        };
        if enabled != "0" {
            let target = format!("{CGROUPS}/{name}");
            fs::create_dir(&target)?;
            mount(
                Some(name),
                target.as_str(),
                Some("cgroup"),
                CLOSED,
                Some(name),
            )?;
        }
    }
    Ok(())
}

fn unless_there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
