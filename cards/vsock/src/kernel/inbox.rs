//! Packets from the kernel, in slots of the shadow ring. A slot goes back once the guest has its whole
//! packet: a guest that posts no buffers stops the kernel after one ring full, and the kernel its senders.

use super::shadow_ring::{SLOTS, ShadowRing};
use crate::packet::{HEADER_BYTES, Header};

/// A packet of the kernel's, and how much of its payload the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub header: Header,
    slot: u16,
    done: usize,
}

impl Arrival {
    /// Bytes of the payload that the guest does not have yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.header.len as usize - self.done
    }
}

pub struct Inbox {
    ring: ShadowRing,
    begun: Option<Arrival>,
}

impl Inbox {
    pub fn new(mut ring: ShadowRing) -> Self {
        (0..SLOTS).for_each(|slot| ring.offer_room(slot));
        Self { ring, begun: None }
    }

    pub fn ring(&self) -> &ShadowRing {
        &self.ring
    }

    /// Whether a packet is there.
    #[must_use]
    pub fn has_arrivals(&self) -> bool {
        self.begun.is_some() || self.ring.has_used()
    }

    /// The packet that was begun.
    #[must_use]
    pub fn begun(&self) -> Option<Arrival> {
        self.begun
    }

    /// The next packet, which has then been begun. One that is not whole is passed over.
    pub fn begin(&mut self) -> Option<Arrival> {
        while let Some(used) = self.ring.take_used() {
            let mut bytes = [0; HEADER_BYTES];
            self.ring.copy_out(used.slot, 0, &mut bytes);
            let header = Header::decode(&bytes);
            if HEADER_BYTES + header.len as usize <= used.bytes {
                let (slot, done) = (used.slot, 0);
                self.begun = Some(Arrival { header, slot, done });
                return self.begun;
            }
            self.ring.offer_room(used.slot);
        }
        None
    }

    /// Says by which CID the guest knows the sender of the begun packet.
    pub fn readdress(&mut self, parent_cid: u64) -> Option<Arrival> {
        self.begun.as_mut()?.header.src_cid = parent_cid;
        self.begun
    }

    /// Copies what is left of the begun packet's payload.
    pub fn copy_payload(&self, arrival: &Arrival, payload: &mut [u8]) {
        let offset = HEADER_BYTES + arrival.done;
        self.ring.copy_out(arrival.slot, offset, payload);
    }

    /// The guest has `bytes` more of the begun packet's payload.
    pub fn advance(&mut self, bytes: usize) {
        if let Some(arrival) = &mut self.begun {
            arrival.done += bytes;
        }
    }

    /// The begun packet is done with; its slot goes back to the kernel.
    pub fn finish(&mut self) {
        if let Some(arrival) = self.begun.take() {
            self.ring.offer_room(arrival.slot);
        }
    }

    pub fn tell(&mut self) {
        self.ring.tell();
    }
}
