//! What every card needs of vhost-user beyond vhost-user-backend, which owns the protocol with the
//! VMM and runs a card's worker: memory that is there, and a watchdog over that worker.
#![forbid(unsafe_code)]

use vhost::vhost_user::message::VhostUserVirtioFeatures;
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

mod guest_memory;
pub mod watchdog;

pub use guest_memory::check_files;

/// The guest's memory as a card gets it.
pub type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// Virtio's features that every card offers; a device type may add its own.
pub const FEATURES: u64 = 1 << VIRTIO_F_VERSION_1
    | 1 << VIRTIO_RING_F_EVENT_IDX
    | 1 << VIRTIO_RING_F_INDIRECT_DESC
    | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
