//! Both shadow rings, the memory that they are in and the event that the kernel calls by.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use cloister_confine::inherited::take_back;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};
use vmm_sys_util::eventfd::EventFd;

use super::inbox::Inbox;
use super::outbox::Outbox;
use super::shadow_ring::{NONBLOCK, RING_BYTES, ShadowRing};

pub use super::shadow_ring::Addresses;

pub(super) type Region = GuestRegionMmap;

pub struct Link {
    memory: Arc<GuestMemoryMmap>,
    call: EventFd,
    /// The same event, to be watched.
    called: OwnedFd,
    /// Packets from the kernel.
    pub inbox: Inbox,
    /// Packets to the kernel.
    pub outbox: Outbox,
    /// The CID is the enclave's while this is open.
    device: Option<OwnedFd>,
}

impl Link {
    /// Rings that nobody serves yet.
    ///
    /// # Errors
    /// When there is no memory for them, or no event can be made.
    pub fn new() -> io::Result<Self> {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 2 * RING_BYTES)])
            .map_err(|error| io::Error::other(error.to_string()))?;
        let memory = Arc::new(memory);
        let call = EventFd::new(NONBLOCK)?;
        Ok(Self {
            called: take_back(call.try_clone()?.into_raw_fd()),
            call,
            inbox: Inbox::new(ShadowRing::new(Arc::clone(&memory), 0)?),
            outbox: Outbox::new(ShadowRing::new(Arc::clone(&memory), 1)?),
            memory,
            device: None,
        })
    }

    #[must_use]
    pub fn memory(&self) -> Arc<GuestMemoryMmap> {
        Arc::clone(&self.memory)
    }

    /// The kernel's receive and transmit queue, each with the event that wakes the kernel up.
    #[must_use]
    pub fn rings(&self) -> [(Addresses, &EventFd); 2] {
        [self.inbox.ring(), self.outbox.ring()].map(|it| (it.addresses(), it.kick_event()))
    }

    #[must_use]
    pub fn call(&self) -> &EventFd {
        &self.call
    }

    /// Tells the kernel of whatever is new in the rings.
    pub fn tell(&mut self) {
        self.inbox.tell();
        self.outbox.tell();
    }

    pub(super) fn hold(&mut self, device: OwnedFd) {
        self.device = Some(device);
    }
}

/// Ready when the kernel has done something.
impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.called.as_fd()
    }
}
