//! Hands the shadow rings to the kernel. The process must be the one that serves them, and have its own
//! root already: the kernel reaches the rings through this process' memory, by a thread that newer
//! kernels (6.4) count as one of the process.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use vhost::vhost_kern::VhostKernBackend;
use vhost::{Error, VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use super::link::{Addresses, Link};
use super::shadow_ring::SLOTS;
use super::{ioctls, link};

struct Vhost {
    device: OwnedFd,
    memory: Arc<GuestMemoryMmap>,
}

impl AsRawFd for Vhost {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

impl VhostKernBackend for Vhost {
    type AS = Arc<GuestMemoryMmap>;

    fn mem(&self) -> &Self::AS {
        &self.memory
    }
}

/// Gives the enclave its CID on this host and starts to serve it; both end with the link. `device` is
/// an open `/dev/vhost-vsock`.
///
/// # Errors
/// `AddrInUse` when another virtual machine of the host has the CID; otherwise what the kernel says.
pub fn attach(device: OwnedFd, guest_cid: u64, link: &mut Link) -> io::Result<()> {
    let vhost = Vhost {
        device,
        memory: link.memory(),
    };
    set_up(&vhost, link).map_err(io_error)?;
    ioctls::set_guest_cid(&vhost.device, guest_cid)?;
    ioctls::start(&vhost.device)?;
    link.hold(vhost.device);
    Ok(())
}

fn set_up(vhost: &Vhost, link: &Link) -> Result<(), Error> {
    let wanted = 1 << VIRTIO_F_VERSION_1; // and nothing else: rings without event indices or tables
    vhost.set_owner()?;
    if vhost.get_features()? & wanted == 0 {
        return Err(Error::InvalidOperation);
    }
    vhost.set_features(wanted)?;
    vhost.set_mem_table(&regions(&vhost.memory))?;
    for (index, (addresses, kick)) in link.rings().into_iter().enumerate() {
        vhost.set_vring_num(index, SLOTS)?;
        vhost.set_vring_base(index, 0)?;
        vhost.set_vring_addr(index, &configuration(addresses))?;
        vhost.set_vring_call(index, link.call())?;
        vhost.set_vring_kick(index, kick)?;
    }
    Ok(())
}

fn regions(memory: &GuestMemoryMmap) -> Vec<VhostUserMemoryRegionInfo> {
    let region = |it: &link::Region| VhostUserMemoryRegionInfo {
        guest_phys_addr: it.start_addr().0,
        memory_size: it.len(),
        userspace_addr: it.as_ptr() as u64,
        ..VhostUserMemoryRegionInfo::default()
    };
    memory.iter().map(region).collect()
}

fn configuration(addresses: Addresses) -> VringConfigData {
    VringConfigData {
        queue_max_size: SLOTS,
        queue_size: SLOTS,
        desc_table_addr: addresses.descriptors,
        avail_ring_addr: addresses.available,
        used_ring_addr: addresses.used,
        ..VringConfigData::default()
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::IoctlError(error) | Error::IOError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
