//! The driver's side of one split virtqueue (virtio 1.2 section 2.7) in memory of the card's own, without
//! event indices or indirect tables: descriptor N is slot N, a buffer for one packet. The other side is
//! the kernel, which is trusted to write nothing but what it should; a slot that it never had is ignored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use virtio_bindings::bindings::virtio_ring::{
    VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_WRITE, VRING_USED_F_NO_NOTIFY,
};
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

use super::MAX_PAYLOAD_BYTES;
use crate::packet::HEADER_BYTES;

/// Packets that a ring holds: a power of two.
pub const SLOTS: u16 = 64;
const SLOT_BYTES: usize = HEADER_BYTES + MAX_PAYLOAD_BYTES;
const PAGE: usize = 4096;
const SLOT_STRIDE: usize = SLOT_BYTES.next_multiple_of(PAGE);
/// Memory of one ring: a page for its three tables, then the slots.
pub const RING_BYTES: usize = PAGE + SLOTS as usize * SLOT_STRIDE;

const AVAILABLE_AT: u64 = 16 * SLOTS as u64;
const USED_AT: u64 = AVAILABLE_AT + 512;
/// Of both rings: flags, then the index, then the elements.
const INDEX_AT: u64 = 2;
const ELEMENTS_AT: u64 = 4;

/// Where the kernel finds a ring in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
}

impl Addresses {
    pub fn of_ring(number: u64) -> Self {
        let base = number * RING_BYTES as u64;
        Self {
            descriptors: base,
            available: base + AVAILABLE_AT,
            used: base + USED_AT,
        }
    }
}

/// A slot that the kernel has given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub slot: u16,
    /// What the kernel has written there.
    pub bytes: usize,
}

pub struct ShadowRing {
    memory: Arc<GuestMemoryMmap>,
    at: Addresses,
    kick: EventFd,
    offered: u16,
    seen: u16,
    /// Whether the kernel was not told yet of what it was offered.
    owes_kick: bool,
}

impl ShadowRing {
    /// # Errors
    /// When no event can be made.
    pub fn new(memory: Arc<GuestMemoryMmap>, number: u64) -> io::Result<Self> {
        Ok(Self {
            memory,
            at: Addresses::of_ring(number),
            kick: EventFd::new(NONBLOCK)?,
            offered: 0,
            seen: 0,
            owes_kick: false,
        })
    }

    pub fn addresses(&self) -> Addresses {
        self.at
    }

    /// What wakes the kernel up.
    pub fn kick_event(&self) -> &EventFd {
        &self.kick
    }

    /// Offers a slot for a packet of the kernel's.
    pub fn offer_room(&mut self, slot: u16) {
        self.offer(slot, SLOT_BYTES, VRING_DESC_F_WRITE as u16);
    }

    /// Offers a packet in a slot.
    pub fn offer_packet(&mut self, slot: u16, parts: [&[u8]; 2]) {
        let mut at = self.buffer(slot);
        for part in parts {
            self.write(part, at);
            at += part.len() as u64;
        }
        let bytes = parts.iter().map(|part| part.len()).sum();
        self.offer(slot, bytes, 0);
    }

    /// The next slot that the kernel has given back.
    pub fn take_used(&mut self) -> Option<Used> {
        while self.seen != self.index(self.at.used) {
            let element = self.at.used + ELEMENTS_AT + 8 * u64::from(self.seen % SLOTS);
            let [slot, bytes]: [u32; 2] = [self.read(element), self.read(element + 4)];
            self.seen = self.seen.wrapping_add(1);
            if slot < u32::from(SLOTS) {
                return Some(Used {
                    slot: slot as u16,
                    bytes: (bytes as usize).min(SLOT_BYTES),
                });
            }
        }
        None
    }

    /// Whether the kernel has given something back that was not taken yet.
    pub fn has_used(&self) -> bool {
        self.seen != self.index(self.at.used)
    }

    /// Whether the kernel tells when it gives back. It may have done so just before.
    pub fn ask_for_calls(&self, wanted: bool) {
        let flags = if wanted {
            0
        } else {
            VRING_AVAIL_F_NO_INTERRUPT as u16
        };
        self.write_value(flags, self.at.available);
        fence(Ordering::SeqCst);
    }

    /// Tells the kernel of what it was offered, where it wants to hear of it.
    pub fn tell(&mut self) {
        if !std::mem::take(&mut self.owes_kick) {
            return;
        }
        fence(Ordering::SeqCst); // the index is there before the flag is looked at
        let flags: u16 = self.read(self.at.used);
        if flags & VRING_USED_F_NO_NOTIFY as u16 == 0 {
            let _ = self.kick.write(1); // full of kicks, it wakes the kernel up as well
        }
    }

    /// Copies bytes out of a slot.
    pub fn copy_out(&self, slot: u16, offset: usize, bytes: &mut [u8]) {
        let at = GuestAddress(self.buffer(slot) + offset as u64);
        let copied = self.memory.read_slice(bytes, at);
        debug_assert!(copied.is_ok(), "a slot lies inside the memory");
    }

    fn offer(&mut self, slot: u16, bytes: usize, flags: u16) {
        let descriptor = self.at.descriptors + 16 * u64::from(slot);
        self.write_value(self.buffer(slot), descriptor);
        self.write_value(bytes as u32, descriptor + 8);
        self.write_value(flags, descriptor + 12);
        let element = self.at.available + ELEMENTS_AT + 2 * u64::from(self.offered % SLOTS);
        self.write_value(slot, element);
        self.offered = self.offered.wrapping_add(1);
        let index = GuestAddress(self.at.available + INDEX_AT);
        let stored = self.memory.store(self.offered, index, Ordering::Release);
        debug_assert!(stored.is_ok(), "a ring lies inside the memory");
        self.owes_kick = true;
    }

    fn buffer(&self, slot: u16) -> u64 {
        self.at.descriptors + (PAGE + usize::from(slot) * SLOT_STRIDE) as u64
    }

    fn index(&self, ring: u64) -> u16 {
        let index = self
            .memory
            .load(GuestAddress(ring + INDEX_AT), Ordering::Acquire);
        index.unwrap_or(self.seen)
    }

    fn read<T: ByteValued + Default>(&self, at: u64) -> T {
        self.memory.read_obj(GuestAddress(at)).unwrap_or_default()
    }

    fn write_value<T: ByteValued>(&self, value: T, at: u64) {
        self.write(value.as_slice(), at);
    }

    fn write(&self, bytes: &[u8], at: u64) {
        let written = self.memory.write_slice(bytes, GuestAddress(at));
        debug_assert!(written.is_ok(), "a ring lies inside the memory");
    }
}

/// Neither side may ever wait for the other's event.
pub const NONBLOCK: i32 = rustix::event::EventfdFlags::NONBLOCK
    .union(rustix::event::EventfdFlags::CLOEXEC)
    .bits() as i32;
