//! Which answer goes into which buffer. AWS's driver adds two chains for each request, the request
//! and room for the response, and waits for one interrupt: by then both must be back, the request
//! first. It has one request at a time and gives up after 120 s.
//!
//! A driver that has given up takes the next chains that come back for the answer to its next
//! request, whichever they are, since it uses the same two buffers again. So what it gave up must
//! never come back: such an answer is dropped and its two chains are kept. A chip that stays silent
//! that long 32 times in a row has used up the driver's queue; the guest then has no NSM.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::GuestMemoryMmap;

use crate::chain::{Chain, Request, Room};

/// Less than the driver's 120 s, by more than the two clocks may differ.
pub const PATIENCE: Duration = Duration::from_secs(110);
/// As many as the queue that QEMU offers holds.
const MAX_WAITING: usize = 32;
/// Chains taken before the worker looks at its other events again.
const MAX_CHAINS: usize = 256;

/// `{"Error": "InputTooLarge"}`, CBOR.
pub const INPUT_TOO_LARGE: &[u8] = b"\xa1\x65Error\x6dInputTooLarge";

/// A request that waits for its answer, and where that goes.
#[derive(Debug)]
struct Exchange {
    request: Request,
    room: Room,
    offered: Instant,
}

impl Exchange {
    fn is_given_up(&self, now: Instant) -> bool {
        now.duration_since(self.offered) >= PATIENCE
    }
}

/// What the keeper has been asked and has not answered yet.
#[derive(Debug)]
enum Asked {
    Exchange(Exchange),
    /// The queue it came from is gone.
    Forgotten,
}

/// How much of the queue was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    All,
    Part,
    /// As much as may wait.
    Full,
}

/// What is to be done after a turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    /// To be sent to the keeper, which owes no other answer.
    pub request: Option<Vec<u8>>,
    /// There is more in the queue, and nothing else will cause another turn.
    pub is_unfinished: bool,
}

#[derive(Debug, Default)]
pub struct Device {
    /// A request whose room has not come yet.
    half: Option<Request>,
    waiting: VecDeque<Exchange>,
    asked: Option<Asked>,
    is_used: bool,
}

impl Device {
    /// One turn: takes what the driver has offered, and finds what to ask the keeper next.
    pub fn serve(&mut self, memory: &GuestMemoryMmap, queue: &mut Queue, now: Instant) -> Turn {
        let taken = self.take(memory, queue, now);
        let request = self.next_request(memory, queue, now);
        // The keeper's answer causes the next turn.
        let is_held_up = taken == Taken::Full && self.asked.is_some();
        Turn {
            request,
            is_unfinished: taken != Taken::All && !is_held_up,
        }
    }

    fn take(&mut self, memory: &GuestMemoryMmap, queue: &mut Queue, now: Instant) -> Taken {
        for _ in 0..MAX_CHAINS {
            if self.waiting.len() >= MAX_WAITING {
                return Taken::Full;
            }
            let Some(chain) = next_chain(memory, queue) else {
                return Taken::All;
            };
            self.pair(memory, queue, Chain::read(memory, chain), now);
        }
        Taken::Part
    }

    /// A request and the room after it belong together; anything else goes back unused.
    fn pair(&mut self, memory: &GuestMemoryMmap, queue: &mut Queue, chain: Chain, now: Instant) {
        match (self.half.take(), chain) {
            (Some(request), Chain::Room(room)) => self.waiting.push_back(Exchange {
                request,
                room,
                offered: now,
            }),
            (half, Chain::Request(request)) => {
                self.half = Some(request);
                if let Some(lonely) = half {
                    self.give_back(memory, queue, lonely.head, 0);
                }
            }
            (half, Chain::Malformed { head } | Chain::Room(Room { head, .. })) => {
                self.half = half;
                self.give_back(memory, queue, head, 0);
            }
        }
    }

    /// Nothing while the keeper owes an answer.
    fn next_request(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &mut Queue,
        now: Instant,
    ) -> Option<Vec<u8>> {
        while self.asked.is_none() {
            let mut exchange = self.waiting.pop_front()?;
            if exchange.is_given_up(now) {
                continue;
            }
            let Some(bytes) = exchange.request.bytes.take() else {
                self.complete(memory, queue, &exchange, INPUT_TOO_LARGE);
                continue;
            };
            self.asked = Some(Asked::Exchange(exchange));
            return Some(bytes);
        }
        None
    }

    /// Takes the keeper's answer.
    ///
    /// # Errors
    /// When nothing was asked.
    pub fn answer(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &mut Queue,
        response: &[u8],
        now: Instant,
    ) -> Result<(), UnaskedAnswer> {
        match self.asked.take().ok_or(UnaskedAnswer)? {
            Asked::Exchange(exchange) if !exchange.is_given_up(now) => {
                self.complete(memory, queue, &exchange, response);
            }
            Asked::Exchange(_) | Asked::Forgotten => {}
        }
        Ok(())
    }

    /// The driver has stopped the queue: what it offered there is void.
    pub fn forget_queue(&mut self) {
        self.half = None;
        self.waiting.clear();
        self.asked = self.asked.take().map(|_| Asked::Forgotten);
    }

    /// Whether anything went back to the driver since the last call.
    pub fn take_is_used(&mut self) -> bool {
        std::mem::take(&mut self.is_used)
    }

    fn complete(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &mut Queue,
        exchange: &Exchange,
        response: &[u8],
    ) {
        let Exchange { request, room, .. } = exchange;
        let written = room.write(memory, response);
        self.give_back(memory, queue, request.head, 0);
        self.give_back(memory, queue, room.head, written);
    }

    fn give_back(&mut self, memory: &GuestMemoryMmap, queue: &mut Queue, head: u16, used: u32) {
        // A ring outside guest memory cannot be answered; the guest has only itself to blame.
        let _ = queue.add_used(memory, head, used);
        self.is_used = true;
    }
}

/// Nothing when the queue is empty, or cannot be read: whatever its index says, it has nothing more
/// then. The driver notifies of the next.
fn next_chain<'a>(
    memory: &'a GuestMemoryMmap,
    queue: &mut Queue,
) -> Option<DescriptorChain<&'a GuestMemoryMmap>> {
    let next = |queue: &mut Queue| queue.iter(memory).ok()?.next();
    next(queue).or_else(|| {
        // One may have come before notifications were on.
        let has_more = queue.enable_notification(memory).unwrap_or(false);
        has_more.then(|| next(queue))?
    })
}

/// An answer without a request: the other end is not a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnaskedAnswer;
