//! Guest memory, and where its driver has the rings.

use arbitrary::Arbitrary;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

pub const MEMORY_BYTES: usize = 0x1_0000;
/// Where an honest driver has everything but its rings.
pub const DATA: u64 = 0x4000;
const MAX_QUEUE_SIZE: u16 = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub table: u64,
    pub available: u64,
    pub used: u64,
}

/// Where a ring is, when not where an honest driver has it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Ring {
    At(u16),
    /// So many bytes before memory ends.
    End(u8),
    Beyond,
}

impl Ring {
    fn address(self) -> u64 {
        match self {
            Self::At(address) => u64::from(address),
            Self::End(before) => MEMORY_BYTES as u64 - u64::from(before % 64),
            Self::Beyond => MEMORY_BYTES as u64 * 2,
        }
    }
}

impl Layout {
    pub const HONEST: Self = Self {
        table: 0x1000,
        available: 0x2000,
        used: 0x3000,
    };

    pub fn anywhere([table, available, used]: [Ring; 3]) -> Self {
        Self {
            table: table.address() & !15,
            available: available.address() & !1,
            used: used.address() & !3,
        }
    }

    pub fn queue(self, size: u16, event_idx: bool) -> Queue {
        let mut queue = Queue::new(MAX_QUEUE_SIZE).expect("a queue");
        queue.set_size(size);
        queue.set_event_idx(event_idx);
        queue.set_desc_table_address(Some(self.table as u32), Some(0));
        queue.set_avail_ring_address(Some(self.available as u32), Some(0));
        queue.set_used_ring_address(Some(self.used as u32), Some(0));
        queue.set_ready(true);
        queue
    }
}

pub fn new_memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).expect("memory")
}

/// What memory holds now.
pub fn snapshot(memory: &GuestMemoryMmap) -> Vec<u8> {
    let mut bytes = vec![0; MEMORY_BYTES];
    memory
        .read_slice(&mut bytes, GuestAddress(0))
        .expect("memory");
    bytes
}
