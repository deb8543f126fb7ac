//! Makes /rootfs of the initramfs the root (as AWS's init and switch_root do: an initramfs cannot
//! be pivoted away from, so its root is covered by a moved mount).
#![forbid(unsafe_code)]

use nix::mount::{MsFlags, mount};
use std::io;
use std::{env, os::unix::fs::chroot};

const ROOTFS: &str = "/rootfs";
const NOTHING: Option<&str> = None;

/// Afterwards the app's file system is `/` and the working directory.
pub fn enter() -> io::Result<()> {
    mount(Some(ROOTFS), ROOTFS, NOTHING, MsFlags::MS_BIND, NOTHING)?;
    env::set_current_dir(ROOTFS)?;
    mount(Some("."), "/", NOTHING, MsFlags::MS_MOVE, NOTHING)?;
    chroot(".")?;
    env::set_current_dir("/")
}
