//! Moving packets between virtqueues and flat buffers (virtio 1.2 section 2.7, split queues).
//! Guest memory is read once and only copied, never referenced: what is parsed cannot change
//! afterwards. Chains may have any number of descriptors, direct or in one indirect table;
//! virtio-queue bounds loops by the table's size.

use std::collections::VecDeque;

use virtio_queue::desc::split::Descriptor;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::packet::{HEADER_BYTES, Header};

/// More descriptors than this in one chain are not followed.
const MAX_SEGMENTS: usize = 1024;

/// A descriptor chain that the driver may not hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainError;

/// Copies a chain's bytes into `buffer`, at most as many as it holds; returns how many.
///
/// # Errors
/// When a descriptor is device-writable or lies outside guest memory.
pub fn gather(
    memory: &GuestMemoryMmap,
    chain: DescriptorChain<&GuestMemoryMmap>,
    buffer: &mut [u8],
) -> Result<usize, ChainError> {
    let mut filled = 0;
    for descriptor in chain.take(MAX_SEGMENTS) {
        if descriptor.is_write_only() {
            return Err(ChainError);
        }
        let room = &mut buffer[filled..];
        let bytes = room.len().min(descriptor.len() as usize);
        memory
            .read_slice(&mut room[..bytes], descriptor.addr())
            .map_err(|_| ChainError)?;
        filled += bytes;
    }
    Ok(filled)
}

/// Asks the driver to notify when it adds chains; whether one has come by now. A queue that cannot
/// be read has none, whatever its index says.
pub fn ask_for_notification(memory: &GuestMemoryMmap, queue: &mut Queue) -> bool {
    let is_promised = queue.enable_notification(memory).unwrap_or(false);
    let is_there = is_promised && queue.iter(memory).is_ok_and(|mut it| it.next().is_some());
    if is_there {
        queue.go_to_previous_position();
    }
    is_there
}

/// One buffer the driver has posted for packets to the guest.
#[derive(Debug, Default)]
struct Receptacle {
    head: u16,
    segments: Vec<(GuestAddress, usize)>,
    bytes: usize,
}

impl Receptacle {
    fn fill(&mut self, chain: DescriptorChain<&GuestMemoryMmap>) {
        self.head = chain.head_index();
        self.segments.clear();
        self.bytes = 0;
        for descriptor in chain.take(MAX_SEGMENTS).filter(Descriptor::is_write_only) {
            let bytes = descriptor.len() as usize;
            self.segments.push((descriptor.addr(), bytes));
            self.bytes += bytes;
        }
    }

    fn write(&self, memory: &GuestMemoryMmap, parts: [&[u8]; 2]) -> Result<(), ChainError> {
        let mut segments = self.segments.iter().copied();
        let (mut address, mut room) = segments.next().ok_or(ChainError)?;
        for mut part in parts {
            while !part.is_empty() {
                if room == 0 {
                    (address, room) = segments.next().ok_or(ChainError)?;
                    continue;
                }
                let (now, later) = part.split_at(part.len().min(room));
                memory.write_slice(now, address).map_err(|_| ChainError)?;
                address = GuestAddress(address.0.wrapping_add(now.len() as u64));
                room -= now.len();
                part = later;
            }
        }
        Ok(())
    }
}

/// Buffers taken from the receive queue but not used yet, and spare ones to avoid allocation.
#[derive(Debug, Default)]
pub struct ReceptaclePool {
    reserved: VecDeque<Receptacle>,
    spare: Vec<Receptacle>,
}

/// The receive queue (device to driver) during one round of work.
pub struct ReceiveRing<'a> {
    memory: &'a GuestMemoryMmap,
    queue: &'a mut Queue,
    pool: &'a mut ReceptaclePool,
    guest_cid: u64,
    /// Packets handed over since the ring was opened.
    pub packets: u64,
    /// Whether anything was handed to the driver since the ring was opened.
    pub is_used: bool,
}

impl<'a> ReceiveRing<'a> {
    pub fn new(
        memory: &'a GuestMemoryMmap,
        queue: &'a mut Queue,
        pool: &'a mut ReceptaclePool,
        guest_cid: u64,
    ) -> Self {
        Self {
            memory,
            queue,
            pool,
            guest_cid,
            packets: 0,
            is_used: false,
        }
    }

    /// Reserves buffers for a payload of up to `payload` bytes, at least one; returns how many
    /// payload bytes they hold, or nothing when the driver has posted no usable buffer.
    pub fn reserve(&mut self, payload: usize) -> Option<usize> {
        let mut room: usize = self.pool.reserved.iter().map(payload_room).sum();
        while room < payload.max(1) {
            let Some(receptacle) = self.take_buffer() else {
                break;
            };
            room += payload_room(&receptacle);
            self.pool.reserved.push_back(receptacle);
        }
        (room > 0).then_some(room)
    }

    /// Sends one packet without payload; false when the driver has posted no buffer.
    pub fn send(&mut self, header: &Header) -> bool {
        let is_sent = self.reserve(0).is_some();
        if is_sent {
            self.deliver(header, &[]);
        }
        is_sent
    }

    /// Sends as much of `payload` as fits the next reserved buffer; returns how many bytes.
    pub fn deliver(&mut self, header: &Header, payload: &[u8]) -> usize {
        let Some(receptacle) = self.pool.reserved.pop_front() else {
            return 0;
        };
        let (now, _) = payload.split_at(payload.len().min(payload_room(&receptacle)));
        let header = Header {
            dst_cid: self.guest_cid,
            len: now.len() as u32,
            ..*header
        };
        let written = receptacle.write(self.memory, [&header.encode(), now]);
        let used = written.map_or(0, |()| HEADER_BYTES + now.len());
        self.complete(receptacle, used);
        self.packets += 1;
        now.len()
    }

    /// Gives reserved buffers that were not needed back to the queue.
    pub fn release(&mut self) {
        for receptacle in self.pool.reserved.drain(..) {
            self.queue.go_to_previous_position();
            self.pool.spare.push(receptacle);
        }
    }

    /// The next usable buffer; one too small for any packet goes straight back to the driver.
    fn take_buffer(&mut self) -> Option<Receptacle> {
        for _ in 0..self.queue.size() {
            let memory = self.memory;
            let chain = self.queue.iter(memory).ok()?.next()?;
            let mut receptacle = self.pool.spare.pop().unwrap_or_default();
            receptacle.fill(chain);
            if receptacle.bytes > HEADER_BYTES {
                return Some(receptacle);
            }
            if !self.pool.reserved.is_empty() {
                // Not before the reserved ones are used: giving those back counts from the end.
                self.queue.go_to_previous_position();
                self.pool.spare.push(receptacle);
                return None;
            }
            self.complete(receptacle, 0);
        }
        None
    }

    fn complete(&mut self, receptacle: Receptacle, used: usize) {
        // A ring outside guest memory cannot be answered; the guest has only itself to blame.
        let _ = self
            .queue
            .add_used(self.memory, receptacle.head, used as u32);
        self.is_used = true;
        self.pool.spare.push(receptacle);
    }
}

fn payload_room(receptacle: &Receptacle) -> usize {
    receptacle.bytes - HEADER_BYTES
}
