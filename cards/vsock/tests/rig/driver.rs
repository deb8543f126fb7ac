//! A driver written by hand: it puts into the queues whatever a test wants there.

use cloister_vsock::packet::{Header, parse_packet};
use virtio_bindings::bindings::virtio_ring::{
    VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const QUEUE_SIZE: u16 = 256;
const MEMORY_BYTES: usize = 16 << 20;
const TRANSMIT: Ring = Ring(0x1000);
const RECEIVE: Ring = Ring(0x5000);
const INDIRECT_TABLE: u64 = 0x9000;
/// Packets to send: descriptors 1 to 64; split ones from 128; broken ones at 0.
const SLOTS: u16 = 64;
const SLOT_BYTES: u64 = 64 * 1024;
const SLOTS_AT: u64 = 1 << 20;
const SPLIT_FROM: u16 = 128;
/// Buffers to receive in: descriptors 0 to 127; broken ones from 128.
const BUFFERS: u16 = 128;
const BUFFER_BYTES: u32 = 44 + 4096;
const BUFFERS_AT: u64 = 8 << 20;

/// A descriptor: address, length, flags, next.
pub type Descriptor = (u64, u32, u16, u16);

/// A split queue's tables: descriptors, available ring, used ring.
#[derive(Clone, Copy)]
struct Ring(u64);

impl Ring {
    fn available(self) -> u64 {
        self.0 + 0x1000
    }

    fn used(self) -> u64 {
        self.0 + 0x2000
    }

    fn queue(self) -> Queue {
        let mut queue = Queue::new(QUEUE_SIZE).unwrap();
        queue.set_desc_table_address(Some(self.0 as u32), Some(0));
        queue.set_avail_ring_address(Some(self.available() as u32), Some(0));
        queue.set_used_ring_address(Some(self.used() as u32), Some(0));
        queue.set_ready(true);
        queue
    }
}

pub struct Driver {
    pub memory: &'static GuestMemoryMmap,
    sent: u16,
    seen: u16,
    broken_buffers: u16,
}

impl Driver {
    pub fn new() -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap();
        Self {
            memory: Box::leak(Box::new(memory)),
            sent: 0,
            seen: 0,
            broken_buffers: 0,
        }
    }

    /// The receive and the transmit queue.
    pub fn queues(&self) -> (Queue, Queue) {
        (RECEIVE.queue(), TRANSMIT.queue())
    }

    pub fn send(&mut self, bytes: &[u8]) {
        let slot = self.sent % SLOTS;
        let address = SLOTS_AT + u64::from(slot) * SLOT_BYTES;
        self.write(bytes, address);
        self.set(TRANSMIT, slot + 1, (address, bytes.len() as u32, 0, 0));
        self.offer_packet(slot + 1);
    }

    pub fn send_split(&mut self, bytes: &[u8], sizes: &[u32]) {
        self.write(bytes, SLOTS_AT);
        let table = split(sizes, SPLIT_FROM);
        for (index, descriptor) in (SPLIT_FROM..).zip(table) {
            self.set(TRANSMIT, index, descriptor);
        }
        self.offer_packet(SPLIT_FROM);
    }

    pub fn send_indirect(&mut self, bytes: &[u8], sizes: &[u32]) {
        self.write(bytes, SLOTS_AT);
        for (index, descriptor) in (0..).zip(split(sizes, 0)) {
            self.set(Ring(INDIRECT_TABLE), index, descriptor);
        }
        let bytes = 16 * sizes.len() as u32;
        let flags = VRING_DESC_F_INDIRECT as u16;
        self.send_raw((INDIRECT_TABLE, bytes, flags, 0));
    }

    pub fn send_raw(&mut self, descriptor: Descriptor) {
        self.set(TRANSMIT, 0, descriptor);
        self.offer_packet(0);
    }

    /// The number of the packet that the device asked to be told of (`avail_event`).
    pub fn packet_to_tell_of(&self) -> u16 {
        self.read_u16(TRANSMIT.used() + 4 + 8 * u64::from(QUEUE_SIZE))
    }

    /// Moves the ring's index to the end of memory; it says that there is an entry, beyond it.
    pub fn let_available_ring_leave_memory(&mut self, queue: &mut Queue) {
        let ring = MEMORY_BYTES as u64 - 4;
        queue.set_avail_ring_address(Some(ring as u32), Some(0));
        self.write(&1_u16.to_le_bytes(), ring + 2);
    }

    pub fn jump_available_index(&mut self) {
        self.sent = self.sent.wrapping_add(QUEUE_SIZE + 1);
        self.write(&self.sent.to_le_bytes(), TRANSMIT.available() + 2);
    }

    pub fn post_buffers(&mut self) {
        (0..BUFFERS).for_each(|index| self.post_buffer(index));
    }

    pub fn post_buffer(&mut self, index: u16) {
        let flags = VRING_DESC_F_WRITE as u16;
        let descriptor = (buffer_address(index), BUFFER_BYTES, flags, 0);
        self.set(RECEIVE, index, descriptor);
        self.post(index);
    }

    pub fn post_raw(&mut self, descriptor: Descriptor) {
        let index = BUFFERS + self.broken_buffers;
        self.broken_buffers += 1;
        self.set(RECEIVE, index, descriptor);
        self.post(index);
    }

    /// Packets that came since the last call; their buffers are posted again.
    pub fn received(&mut self) -> Vec<(Header, Vec<u8>)> {
        let mut packets = Vec::new();
        while self.seen != self.read_u16(RECEIVE.used() + 2) {
            let element = RECEIVE.used() + 4 + 8 * u64::from(self.seen % QUEUE_SIZE);
            let index = self.read_u16(element);
            let length = self.read_u16(element + 4);
            self.seen = self.seen.wrapping_add(1);
            if index >= BUFFERS {
                assert_eq!(length, 0, "an unusable buffer was used");
                continue;
            }
            let mut bytes = vec![0; usize::from(length)];
            let address = GuestAddress(buffer_address(index));
            self.memory.read_slice(&mut bytes, address).unwrap();
            let (header, payload) = parse_packet(&bytes).expect("a packet of the device");
            packets.push((header, payload.to_vec()));
            self.post(index);
        }
        packets
    }

    fn offer_packet(&mut self, head: u16) {
        self.offer(TRANSMIT, self.sent, head);
        self.sent = self.sent.wrapping_add(1);
    }

    fn post(&mut self, head: u16) {
        let posted = self.read_u16(RECEIVE.available() + 2);
        self.offer(RECEIVE, posted, head);
    }

    fn offer(&self, ring: Ring, index: u16, head: u16) {
        let element = ring.available() + 4 + 2 * u64::from(index % QUEUE_SIZE);
        self.write(&head.to_le_bytes(), element);
        self.write(&index.wrapping_add(1).to_le_bytes(), ring.available() + 2);
    }

    fn set(&self, table: Ring, index: u16, (address, length, flags, next): Descriptor) {
        let at = table.0 + 16 * u64::from(index);
        self.write(&address.to_le_bytes(), at);
        self.write(&length.to_le_bytes(), at + 8);
        self.write(&flags.to_le_bytes(), at + 12);
        self.write(&next.to_le_bytes(), at + 14);
    }

    fn write(&self, bytes: &[u8], address: u64) {
        self.memory
            .write_slice(bytes, GuestAddress(address))
            .unwrap();
    }

    fn read_u16(&self, address: u64) -> u16 {
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }
}

fn buffer_address(index: u16) -> u64 {
    BUFFERS_AT + u64::from(index) * 8192
}

/// A chain of pieces of the packet at the first slot.
fn split(sizes: &[u32], first: u16) -> Vec<Descriptor> {
    let mut address = SLOTS_AT;
    let last = sizes.len() - 1;
    let mut chain = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        let flags = if index < last {
            VRING_DESC_F_NEXT as u16
        } else {
            0
        };
        chain.push((address, *size, flags, first + index as u16 + 1));
        address += u64::from(*size);
    }
    chain
}
