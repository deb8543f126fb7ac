//! Any descriptor tables and rings in guest memory: what is gathered is what the chain says, a
//! reservation holds what it promises, and a round over a queue ends.
#![no_main]

use arbitrary::Arbitrary;
use cloister_vsock::guest_queue::{ReceiveRing, ReceptaclePool, gather};
use cloister_vsock::packet::Header;
use libfuzzer_sys::fuzz_target;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const TABLE: u64 = 0;
const AVAILABLE: u64 = 0x400;
const USED: u64 = 0x600;
const INDIRECT: u64 = 0x1000;
const LOW_BYTES: usize = 0x8000;
/// After a hole.
const HIGH: u64 = 0x1_0000;
const HIGH_BYTES: usize = 0x2000;
const BUFFER_BYTES: usize = 4096;

#[derive(Arbitrary, Debug)]
enum Address {
    Low(u16),
    High(u16),
    Indirect,
    Anywhere(u64),
}

#[derive(Arbitrary, Debug)]
struct Descriptor {
    address: Address,
    len: u32,
    /// Next, write, indirect.
    flags: u8,
    next: u16,
}

/// What the driver does before the device looks again.
#[derive(Arbitrary, Debug)]
struct Change {
    at: u16,
    value: u16,
}

#[derive(Arbitrary, Debug)]
struct Round {
    change: Option<Change>,
    wanted: u16,
    deliveries: u8,
}

#[derive(Arbitrary, Debug)]
struct Input {
    size: u8,
    event_idx: bool,
    table: Vec<Descriptor>,
    indirect: Vec<Descriptor>,
    heads: Vec<u16>,
    available: u16,
    rounds: Vec<Round>,
}

fuzz_target!(|input: Input| {
    let low = (GuestAddress(0), LOW_BYTES);
    let high = (GuestAddress(HIGH), HIGH_BYTES);
    let memory = GuestMemoryMmap::<()>::from_ranges(&[low, high]).expect("memory");
    write_tables(&memory, &input);
    gather_all(&memory, &mut new_queue(&input));
    receive_all(&memory, &mut new_queue(&input), &input.rounds);
});

fn new_queue(input: &Input) -> Queue {
    let size = 1 << (input.size % 7);
    let mut queue = Queue::new(64).expect("a queue");
    queue.set_size(size);
    queue.set_event_idx(input.event_idx);
    queue.set_desc_table_address(Some(TABLE as u32), Some(0));
    queue.set_avail_ring_address(Some(AVAILABLE as u32), Some(0));
    queue.set_used_ring_address(Some(USED as u32), Some(0));
    queue.set_ready(true);
    queue
}

fn write_tables(memory: &GuestMemoryMmap, input: &Input) {
    for (at, table) in [(TABLE, &input.table), (INDIRECT, &input.indirect)] {
        for (index, descriptor) in table.iter().take(64).enumerate() {
            write_descriptor(memory, at + 16 * index as u64, descriptor);
        }
    }
    write_u16(memory, AVAILABLE + 2, input.available);
    for (index, head) in input.heads.iter().take(64).enumerate() {
        write_u16(memory, AVAILABLE + 4 + 2 * index as u64, *head);
    }
}

fn write_descriptor(memory: &GuestMemoryMmap, at: u64, descriptor: &Descriptor) {
    let address = match descriptor.address {
        Address::Low(offset) => u64::from(offset),
        Address::High(offset) => HIGH + u64::from(offset),
        Address::Indirect => INDIRECT,
        Address::Anywhere(address) => address,
    };
    let guest = |offset| GuestAddress(at + offset);
    memory.write_obj(address, guest(0)).expect("low memory");
    memory
        .write_obj(descriptor.len, guest(8))
        .expect("low memory");
    write_u16(memory, at + 12, u16::from(descriptor.flags & 7));
    write_u16(memory, at + 14, descriptor.next);
}

fn write_u16(memory: &GuestMemoryMmap, at: u64, value: u16) {
    memory
        .write_obj(value, GuestAddress(at))
        .expect("low memory");
}

fn gather_all(memory: &GuestMemoryMmap, queue: &mut Queue) {
    let mut buffer = vec![0; BUFFER_BYTES];
    for _ in 0..queue.size() {
        let Some(chain) = queue.iter(memory).ok().and_then(|mut chains| chains.next()) else {
            return;
        };
        let head = chain.head_index();
        let expected = bytes_of(memory, chain.clone());
        if let Ok(count) = gather(memory, chain, &mut buffer) {
            assert_eq!(Some(&buffer[..count]), expected.as_deref());
        }
        let _ = queue.add_used(memory, head, 0);
    }
}

/// A chain's bytes one by one, as many as the buffer holds; nothing when one lies outside memory.
fn bytes_of(memory: &GuestMemoryMmap, chain: DescriptorChain<&GuestMemoryMmap>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for descriptor in chain {
        for offset in 0..u64::from(descriptor.len()) {
            if bytes.len() == BUFFER_BYTES {
                return Some(bytes);
            }
            let at = descriptor.addr().0.checked_add(offset)?;
            bytes.push(memory.read_obj(GuestAddress(at)).ok()?);
        }
    }
    Some(bytes)
}

fn receive_all(memory: &GuestMemoryMmap, queue: &mut Queue, rounds: &[Round]) {
    let mut pool = ReceptaclePool::default();
    let payload = vec![7; usize::from(u16::MAX)];
    for round in rounds {
        if let Some(Change { at, value }) = round.change {
            let _ = memory.write_obj(value, GuestAddress(u64::from(at)));
        }
        let mut ring = ReceiveRing::new(memory, queue, &mut pool, 16);
        let wanted = usize::from(round.wanted);
        if let Some(room) = ring.reserve(wanted) {
            assert!(room > 0);
            let mut left = wanted.min(room);
            for _ in 0..round.deliveries {
                let sent = ring.deliver(&Header::default(), &payload[..left]);
                assert!(sent <= left && (sent > 0 || left == 0));
                left -= sent;
                if left == 0 {
                    break;
                }
            }
        }
        ring.release();
    }
}
