//! The guest's driver: packets well formed or not, raw descriptors, and the rings themselves.

use std::sync::LazyLock;

use cloister_vhost_user::Memory;
use cloister_vsock::packet::{HEADER_BYTES, Header, parse_packet};
use vhost_user_backend::{VringRwLock, VringT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryMmap};

pub const QUEUE_SIZE: u16 = 32;
const TRANSMIT: u64 = 0x1000;
const RECEIVE: u64 = 0x4000;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x2000;
/// Both queues' rings, and a page for indirect tables.
const RINGS: std::ops::Range<u64> = 0x1000..0x8000;
const PACKETS: u64 = 0x1_0000;
const PACKET_BYTES: u64 = 0x4800;
const BUFFERS: u64 = 0xb_0000;
const BUFFER_BYTES: u64 = 0x1000;
const WRITE: u16 = 2;

/// One guest memory for all runs: mapping it anew costs more than a run.
static MEMORY: LazyLock<Memory> = LazyLock::new(|| {
    let ranges = [(GuestAddress(0), 0x10_0000)];
    Memory::new(GuestMemoryMmap::from_ranges(&ranges).expect("memory"))
});

pub struct Driver {
    pub vrings: Vec<VringRwLock>,
    sent: u16,
    posted: u16,
    seen: u16,
}

impl Driver {
    pub fn new() -> Self {
        let zeros = vec![0; (RINGS.end - RINGS.start) as usize];
        let driver = Self {
            vrings: (0..3).map(|_| new_vring()).collect(),
            sent: 0,
            posted: 0,
            seen: 0,
        };
        driver.write(&zeros, RINGS.start);
        start(&driver.vrings[0], RECEIVE);
        start(&driver.vrings[1], TRANSMIT);
        driver
    }

    pub fn memory() -> Memory {
        MEMORY.clone()
    }

    pub fn send(&mut self, header: &Header, payload: &[u8]) {
        let slot = self.sent % QUEUE_SIZE;
        let at = PACKETS + u64::from(slot) * PACKET_BYTES;
        self.write(&header.encode(), at);
        self.write(payload, at + HEADER_BYTES as u64);
        self.send_raw(at, (HEADER_BYTES + payload.len()) as u32, 0, 0);
    }

    /// Offers one descriptor as a packet.
    pub fn send_raw(&mut self, address: u64, len: u32, flags: u16, next: u16) {
        let slot = self.sent % QUEUE_SIZE;
        self.set(TRANSMIT, slot, (address, len, flags, next));
        self.sent = self.sent.wrapping_add(1);
        self.offer(TRANSMIT, slot, self.sent);
    }

    pub fn post_buffer(&mut self) {
        let slot = self.posted % QUEUE_SIZE;
        let address = BUFFERS + u64::from(slot) * BUFFER_BYTES;
        self.post_raw(address, BUFFER_BYTES as u32, WRITE, 0);
    }

    /// Offers one descriptor as a buffer to receive in.
    pub fn post_raw(&mut self, address: u64, len: u32, flags: u16, next: u16) {
        let slot = self.posted % QUEUE_SIZE;
        self.set(RECEIVE, slot, (address, len, flags, next));
        self.posted = self.posted.wrapping_add(1);
        self.offer(RECEIVE, slot, self.posted);
    }

    /// Changes two bytes of the rings.
    pub fn poke(&mut self, at: u16, value: u16) {
        let offset = u64::from(at) % (RINGS.end - RINGS.start - 1);
        self.write(&value.to_le_bytes(), RINGS.start + offset);
    }

    /// Packets that came since the last call to a driver that has only posted its own buffers.
    pub fn received(&mut self) -> Vec<(Header, Vec<u8>)> {
        let mut packets = Vec::new();
        while self.seen != self.read_u16(RECEIVE + USED + 2) {
            let element = RECEIVE + USED + 4 + 8 * u64::from(self.seen % QUEUE_SIZE);
            let slot = u64::from(self.read_u16(element));
            let mut bytes = vec![0; usize::from(self.read_u16(element + 4))];
            let at = GuestAddress(BUFFERS + slot * BUFFER_BYTES);
            MEMORY
                .memory()
                .read_slice(&mut bytes, at)
                .expect("a buffer");
            let (header, payload) = parse_packet(&bytes).expect("a packet of the device");
            packets.push((header, payload.to_vec()));
            self.seen = self.seen.wrapping_add(1);
            self.post_buffer();
        }
        packets
    }

    fn offer(&self, ring: u64, slot: u16, index: u16) {
        self.write(
            &slot.to_le_bytes(),
            ring + AVAILABLE + 4 + 2 * u64::from(slot),
        );
        self.write(&index.to_le_bytes(), ring + AVAILABLE + 2);
    }

    fn set(&self, ring: u64, slot: u16, descriptor: (u64, u32, u16, u16)) {
        let at = ring + 16 * u64::from(slot);
        let (address, len, flags, next) = descriptor;
        self.write(&address.to_le_bytes(), at);
        self.write(&len.to_le_bytes(), at + 8);
        self.write(&flags.to_le_bytes(), at + 12);
        self.write(&next.to_le_bytes(), at + 14);
    }

    fn write(&self, bytes: &[u8], at: u64) {
        let memory = MEMORY.memory();
        memory.write_slice(bytes, GuestAddress(at)).expect("memory");
    }

    fn read_u16(&self, at: u64) -> u16 {
        let memory = MEMORY.memory();
        memory.read_obj(GuestAddress(at)).expect("memory")
    }
}

fn new_vring() -> VringRwLock {
    VringRwLock::new(MEMORY.clone(), 1024).expect("a ring")
}

fn start(vring: &VringRwLock, at: u64) {
    vring.set_queue_size(QUEUE_SIZE);
    vring
        .set_queue_info(at, at + AVAILABLE, at + USED)
        .expect("a ring in memory");
    vring.set_queue_ready(true);
    vring.set_enabled(true);
}
