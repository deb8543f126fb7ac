//! Packets to the kernel, in slots of the shadow ring. Resets that the card itself sends wait here when
//! the ring is full, so that what comes in can always be answered; so many of them and no more.

use std::collections::VecDeque;

use super::shadow_ring::{SLOTS, ShadowRing};
use crate::packet::Header;

/// Resets that may wait for a slot.
const MAX_RESETS: usize = 4096;

pub struct Outbox {
    ring: ShadowRing,
    free: Vec<u16>,
    resets: VecDeque<Header>,
    /// Whether the kernel calls when it gives slots back.
    is_waiting: bool,
}

impl Outbox {
    pub fn new(ring: ShadowRing) -> Self {
        ring.ask_for_calls(false);
        Self {
            ring,
            free: (0..SLOTS).collect(),
            resets: VecDeque::new(),
            is_waiting: false,
        }
    }

    pub fn ring(&self) -> &ShadowRing {
        &self.ring
    }

    /// Whether the kernel takes a packet now. If not, it will call when it does.
    pub fn has_room(&mut self) -> bool {
        let mut has_room = self.reclaim();
        if !has_room && !self.is_waiting {
            self.wait(true);
            has_room = self.reclaim(); // what it gave back before it was asked
        }
        if has_room && self.is_waiting {
            self.wait(false);
        }
        has_room
    }

    /// Sends a packet; only after [`Self::has_room`] has said so.
    pub fn send(&mut self, header: &Header, payload: &[u8]) {
        if let Some(slot) = self.free.pop() {
            self.ring.offer_packet(slot, [&header.encode(), payload]);
        }
    }

    /// Sends a reset now or later; false when too many wait.
    #[must_use]
    pub fn reset(&mut self, header: Header) -> bool {
        let has_place = self.resets.len() < MAX_RESETS;
        if has_place {
            self.resets.push_back(header);
        }
        self.reclaim();
        has_place
    }

    pub fn tell(&mut self) {
        self.ring.tell();
    }

    fn wait(&mut self, is_waiting: bool) {
        self.ring.ask_for_calls(is_waiting);
        self.is_waiting = is_waiting;
    }

    /// Takes back what the kernel is done with, for resets first; whether there is a slot left.
    fn reclaim(&mut self) -> bool {
        while let Some(used) = self.ring.take_used() {
            self.free.push(used.slot);
        }
        while !self.resets.is_empty() && !self.free.is_empty() {
            if let Some(header) = self.resets.pop_front() {
                self.send(&header, &[]);
            }
        }
        self.resets.is_empty() && !self.free.is_empty()
    }
}
