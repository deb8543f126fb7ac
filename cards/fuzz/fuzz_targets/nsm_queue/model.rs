//! What the card's README says that the device does, for a driver whose rings no chain reaches. The
//! numbers are the README's, not the device's: one that changes alone is found.

use std::collections::VecDeque;
use std::time::Duration;

use virtio_queue::{Queue, QueueT};

use crate::chain::Chain;

const MAX_WAITING: usize = 32;
pub const PATIENCE: Duration = Duration::from_secs(110);
/// Of the largest queue.
const USED_RING_BYTES: usize = 6 + 8 * 64;
const INPUT_TOO_LARGE: &[u8] = b"\xa1\x65Error\x6dInputTooLarge";

struct Exchange {
    request: (u16, Option<Vec<u8>>),
    room: (u16, Vec<(u64, u32)>),
    offered: Duration,
}

impl Exchange {
    fn is_given_up(&self, now: Duration) -> bool {
        now - self.offered >= PATIENCE
    }
}

pub struct Model {
    /// Guest memory, but for the used ring.
    pub memory: Vec<u8>,
    /// Heads that go back to the driver in this step, and how much is used of each.
    returned: Vec<(u16, u32)>,
    half: Option<(u16, Option<Vec<u8>>)>,
    waiting: VecDeque<Exchange>,
    asked: Option<Exchange>,
    /// The keeper's next answer is for a queue that is gone.
    is_forgotten: bool,
}

impl Model {
    pub fn new(memory: Vec<u8>, owes: bool) -> Self {
        Self {
            memory,
            returned: Vec::new(),
            half: None,
            waiting: VecDeque::new(),
            asked: None,
            is_forgotten: owes,
        }
    }

    /// What the driver offers now; nothing of an index that has jumped.
    pub fn offered(&self, queue: &Queue) -> Vec<(u16, Chain)> {
        let (size, first) = (queue.size(), queue.next_avail());
        let read = |at: usize| u16::from_le_bytes([self.memory[at], self.memory[at + 1]]);
        let ring = queue.avail_ring() as usize;
        let count = read(ring + 2).wrapping_sub(first);
        let chain = |index: u16| {
            let slot = first.wrapping_add(index) % size;
            let head = read(ring + 4 + 2 * usize::from(slot));
            let chain = Chain::read(&self.memory, queue.desc_table(), size, head);
            (head, chain)
        };
        let count = if count > size { 0 } else { count };
        (0..count).map(chain).collect()
    }

    /// A turn that took these chains; what it asks the keeper.
    pub fn serve(&mut self, taken: Vec<(u16, Chain)>, now: Duration) -> Option<Vec<u8>> {
        for (head, chain) in taken {
            self.pair(head, chain, now);
            assert!(self.waiting.len() <= MAX_WAITING, "too many wait");
        }
        while self.asked.is_none() && !self.is_forgotten {
            let mut exchange = self.waiting.pop_front()?;
            if exchange.is_given_up(now) {
                continue;
            }
            let Some(bytes) = exchange.request.1.take() else {
                self.complete(&exchange, INPUT_TOO_LARGE);
                continue;
            };
            self.asked = Some(exchange);
            return Some(bytes);
        }
        None
    }

    fn pair(&mut self, head: u16, chain: Chain, now: Duration) {
        match chain {
            Chain::Malformed => self.returned.push((head, 0)),
            Chain::Request(bytes) => {
                let lonely = self.half.replace((head, bytes));
                self.returned.extend(lonely.map(|(head, _)| (head, 0)));
            }
            Chain::Room(segments) => match self.half.take() {
                None => self.returned.push((head, 0)),
                Some(request) => self.waiting.push_back(Exchange {
                    request,
                    room: (head, segments),
                    offered: now,
                }),
            },
        }
    }

    pub fn answer(&mut self, response: &[u8], now: Duration) {
        self.is_forgotten = false;
        if let Some(exchange) = self.asked.take()
            && !exchange.is_given_up(now)
        {
            self.complete(&exchange, response);
        }
    }

    pub fn forget_queue(&mut self) {
        self.half = None;
        self.waiting.clear();
        self.is_forgotten |= self.asked.take().is_some();
    }

    fn complete(&mut self, exchange: &Exchange, response: &[u8]) {
        let used = self.fill(&exchange.room.1, response);
        self.returned.push((exchange.request.0, 0));
        self.returned.push((exchange.room.0, used.unwrap_or(0)));
    }

    /// Nothing when it reaches beyond memory; what lies before the end is written even so.
    fn fill(&mut self, room: &[(u64, u32)], response: &[u8]) -> Option<u32> {
        let mut rest = response.iter();
        for (address, length) in room {
            let part = rest.by_ref().take(*length as usize);
            for (offset, byte) in part.enumerate() {
                let at = usize::try_from(address.checked_add(offset as u64)?).ok()?;
                *self.memory.get_mut(at)? = *byte;
            }
        }
        Some((response.len() - rest.len()) as u32)
    }

    /// What came back in the last step, and what is in memory, is what was to be, and nothing else.
    pub fn check(&mut self, queue: &Queue, used: u16, mut memory: Vec<u8>) {
        let size = queue.size();
        let ring = queue.used_ring() as usize;
        let mut returned = std::mem::take(&mut self.returned);
        // A head that is none has no place in the ring.
        returned.retain(|(head, _)| *head < size);
        assert_eq!(usize::from(used), returned.len(), "chains that came back");
        // Only the last of them are still there.
        let mut index = queue.next_used();
        for (head, length) in returned.into_iter().rev().take(usize::from(size)) {
            index = index.wrapping_sub(1);
            let at = ring + 4 + 8 * usize::from(index % size);
            let entry = [u32::from(head).to_le_bytes(), length.to_le_bytes()].concat();
            assert_eq!(memory[at..at + 8], entry, "what came back");
        }
        let ring = ring..ring + USED_RING_BYTES;
        memory[ring.clone()].copy_from_slice(&self.memory[ring]);
        assert!(memory == self.memory, "memory that is no room has changed");
    }
}
