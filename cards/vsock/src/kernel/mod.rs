//! The host kernel's vsock (`/dev/vhost-vsock`), by which an enclave has a CID of the host. The card
//! is its driver: it copies packets between the guest's rings and shadow rings in memory of its own,
//! so the kernel never sees guest memory, and changes the parent's CID on the way. The guest knows its
//! parent as 3, as on AWS; the kernel takes packets for CID 2 only and drops all others
//! (`vhost_vsock_handle_tx_kick`, drivers/vhost/vsock.c, Linux 6.12).
//!
//! Which packets those are is the device's matter (`device::from_kernel`, `device::to_kernel`).

mod attach;
mod credit;
mod flows;
mod inbox;
mod ioctls;
mod link;
mod outbox;
mod shadow_ring;

pub use attach::attach;
pub use credit::{Credit, MAX_WINDOW_BYTES};
pub use flows::{Flow, FlowKey, Flows};
pub use inbox::{Arrival, Inbox};
pub use link::{Addresses, Link};
pub use outbox::Outbox;
pub use shadow_ring::SLOTS;

/// `VMADDR_CID_HOST`: the parent as the kernel knows it.
pub const HOST_CID: u64 = 2;
/// `VIRTIO_VSOCK_MAX_PKT_BUF_SIZE`: the longest payload that the kernel takes or sends.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
