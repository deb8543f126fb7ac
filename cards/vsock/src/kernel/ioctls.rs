//! The two ioctls of vhost-vsock (linux/vhost.h); those that every vhost device has are in the crate
//! vhost.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::os::raw::c_int;

use vhost::vhost_kern::vhost_binding::{VHOST_VSOCK_SET_GUEST_CID, VHOST_VSOCK_SET_RUNNING};
use vmm_sys_util::ioctl::ioctl_with_ref;

/// # Errors
/// `AddrInUse` when another virtual machine of the host has the CID.
pub fn set_guest_cid(device: &OwnedFd, cid: u64) -> io::Result<()> {
    // SAFETY: the kernel reads 8 bytes, which are borrowed until it returns; on a descriptor of another
    // kind the number is unknown, and it reads none.
    outcome(unsafe { ioctl_with_ref(device, VHOST_VSOCK_SET_GUEST_CID(), &cid) })
}

/// # Errors
/// When the rings were not set up.
pub fn start(device: &OwnedFd) -> io::Result<()> {
    let running: c_int = 1;
    // SAFETY: as above, of 4 bytes.
    outcome(unsafe { ioctl_with_ref(device, VHOST_VSOCK_SET_RUNNING(), &running) })
}

fn outcome(status: c_int) -> io::Result<()> {
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
