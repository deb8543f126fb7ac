//! A driver written by hand, which offers whatever a test wants.
#![allow(dead_code, reason = "each test program uses a part of it")]

use virtio_bindings::bindings::virtio_ring::{VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

pub const WRITE: u16 = VRING_DESC_F_WRITE as u16;
pub const NEXT: u16 = VRING_DESC_F_NEXT as u16;
pub const QUEUE_SIZE: u16 = 64;
pub const MEMORY_BYTES: usize = 4 << 20;
pub const TABLE: u64 = 0x1000;
pub const AVAILABLE: u64 = 0x2000;
pub const USED: u64 = 0x3000;
/// AWS's driver has one buffer each way and uses it for every request.
pub const REQUEST_AT: u64 = 0x10_000;
pub const RESPONSE_AT: u64 = 0x20_000;

/// A descriptor: address, length, flags, next.
pub type Descriptor = (u64, u32, u16, u16);

/// A chain that came back: its head and how much of it the device says it used.
pub type Used = (u16, u32);

pub struct Driver {
    pub memory: GuestMemoryMmap,
    offered: u16,
    seen: u16,
}

impl Driver {
    pub fn new(memory: GuestMemoryMmap) -> Self {
        Self {
            memory,
            offered: 0,
            seen: 0,
        }
    }

    pub fn write(&self, address: u64, bytes: &[u8]) {
        self.memory
            .write_slice(bytes, GuestAddress(address))
            .unwrap();
    }

    pub fn read(&self, address: u64, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        self.memory
            .read_slice(&mut bytes, GuestAddress(address))
            .unwrap();
        bytes
    }

    pub fn describe(&self, index: u16, (address, length, flags, next): Descriptor) {
        let at = TABLE + 16 * u64::from(index);
        self.write(at, &address.to_le_bytes());
        self.write(at + 8, &length.to_le_bytes());
        self.write(at + 12, &flags.to_le_bytes());
        self.write(at + 14, &next.to_le_bytes());
    }

    /// Makes the chain that begins at a descriptor available.
    pub fn offer(&mut self, head: u16) {
        let element = AVAILABLE + 4 + 2 * u64::from(self.offered % QUEUE_SIZE);
        self.write(element, &head.to_le_bytes());
        self.jump(1);
    }

    /// Moves the available index without saying what is there.
    pub fn jump(&mut self, by: u16) {
        self.offered = self.offered.wrapping_add(by);
        self.write(AVAILABLE + 2, &self.offered.to_le_bytes());
    }

    pub fn offer_one(&mut self, head: u16, descriptor: Descriptor) {
        self.describe(head, descriptor);
        self.offer(head);
    }

    /// As AWS's driver: the request, then room for the response, each a chain of its own.
    pub fn ask(&mut self, heads: (u16, u16), request: &[u8]) {
        self.write(REQUEST_AT, request);
        self.offer_one(heads.0, (REQUEST_AT, request.len() as u32, 0, 0));
        self.offer_one(heads.1, (RESPONSE_AT, 0x3000, WRITE, 0));
    }

    /// Chains that came back since the last call.
    pub fn used(&mut self) -> Vec<Used> {
        let mut chains = Vec::new();
        while self.seen != self.read_u16(USED + 2) {
            let element = USED + 4 + 8 * u64::from(self.seen % QUEUE_SIZE);
            let length = self.memory.read_obj(GuestAddress(element + 4)).unwrap();
            chains.push((self.read_u16(element), length));
            self.seen = self.seen.wrapping_add(1);
        }
        // With VIRTIO_RING_F_EVENT_IDX: interrupt at the next one.
        let used_event = AVAILABLE + 4 + 2 * u64::from(QUEUE_SIZE);
        self.write(used_event, &self.seen.to_le_bytes());
        chains
    }

    /// As AWS's driver after its interrupt: the next two chains that came back are its request and
    /// its response, whichever they were.
    pub fn driver_reads(&mut self, response_head: u16) -> Option<Vec<u8>> {
        let used = self.used();
        let (head, length) = *used.get(1)?;
        assert_eq!((used.len(), used[0].1), (2, 0));
        assert_eq!(head, response_head);
        Some(self.read(RESPONSE_AT, length))
    }

    /// Begins anew, as a driver that is loaded again does.
    pub fn restart(&mut self) {
        (self.offered, self.seen) = (0, 0);
        self.write(AVAILABLE, &[0; 4 + 2 * QUEUE_SIZE as usize + 2]);
        self.write(USED + 2, &[0; 2]);
    }

    fn read_u16(&self, address: u64) -> u16 {
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }
}
