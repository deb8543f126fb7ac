//! A device between a driver and a keeper, whose every step is checked.

use std::time::{Duration, Instant};

use cloister_nsm::device::{Device, Turn};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::chain::{DESCRIPTOR_BYTES, Descriptor, WRITE};
use crate::guest::{DATA, Layout, MEMORY_BYTES, new_memory, snapshot};
use crate::model::Model;

const MAX_TURNS: usize = 64;
const MAX_REQUEST_BYTES: usize = 0x1000;

/// Chains that the device has taken, and that went back.
#[derive(Clone, Copy, Default)]
struct Moved {
    taken: u64,
    used: u64,
    /// In the last step.
    last_used: u16,
}

pub struct Rig {
    device: Device,
    queue: Queue,
    layout: Layout,
    memory: GuestMemoryMmap,
    /// None with rings anywhere.
    model: Option<Model>,
    start: Instant,
    now: Duration,
    /// The keeper was asked and has not answered.
    owes: bool,
    moved: Moved,
    offered: u16,
    answers: u8,
}

impl Rig {
    pub fn new(size: u16, event_idx: bool, layout: Layout) -> Self {
        let memory = new_memory();
        let is_modelled = layout == Layout::HONEST;
        Self {
            device: Device::default(),
            queue: layout.queue(size, event_idx),
            layout,
            model: is_modelled.then(|| Model::new(snapshot(&memory), false)),
            memory,
            start: Instant::now(),
            now: Duration::ZERO,
            owes: false,
            moved: Moved::default(),
            offered: 0,
            answers: 0,
        }
    }

    pub fn is_modelled(&self) -> bool {
        self.model.is_some()
    }

    /// Where the driver may have its data.
    pub fn place(&self, offset: u16) -> u64 {
        let offset = u64::from(offset);
        if self.is_modelled() {
            DATA + offset % (MEMORY_BYTES as u64 - DATA)
        } else {
            offset
        }
    }

    /// As the driver does; beyond memory nothing is written.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        for (at, byte) in (address..).zip(bytes) {
            let _ = self.memory.write_obj(*byte, GuestAddress(at));
            if let Some(model) = &mut self.model
                && let Some(expected) = model.memory.get_mut(at as usize)
            {
                *expected = *byte;
            }
        }
    }

    pub fn describe(&mut self, index: u16, descriptor: Descriptor) {
        let index = u64::from(index % self.queue.size());
        let at = self.layout.table + DESCRIPTOR_BYTES * index;
        self.write(at, &descriptor.bytes());
    }

    pub fn offer(&mut self, head: u16) {
        // One more than there are, so that some are none.
        let head = head % (self.queue.size() + 1);
        let index = u64::from(self.offered % self.queue.size());
        let at = self.layout.available + 4 + 2 * index;
        self.write(at, &head.to_le_bytes());
        self.jump(1);
    }

    pub fn jump(&mut self, by: u16) {
        self.offered = self.offered.wrapping_add(by);
        self.write(self.layout.available + 2, &self.offered.to_le_bytes());
    }

    pub fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// The driver or the VMM stops the queue; it may go on where it was.
    pub fn stop(&mut self) {
        self.device.forget_queue();
        if let Some(model) = &mut self.model {
            model.forget_queue();
        }
    }

    pub fn restart(&mut self) {
        self.stop();
        let (size, event_idx) = (self.queue.size(), self.queue.event_idx_enabled());
        self.queue = self.layout.queue(size, event_idx);
        self.moved = Moved::default();
        self.offered = 0;
        self.jump(0);
    }

    /// An honest driver comes after this one.
    pub fn replace_driver(&mut self) {
        self.layout = Layout::HONEST;
        self.restart();
        self.model = Some(Model::new(snapshot(&self.memory), self.owes));
    }

    pub fn serve(&mut self) {
        let mut idle_turns = 0;
        for _ in 0..MAX_TURNS {
            let before = self.moved.taken;
            if !self.turn().is_unfinished {
                return;
            }
            // Requests that were given up may have left the device without another.
            let is_idle = self.moved.taken == before;
            idle_turns = if is_idle { idle_turns + 1 } else { 0 };
            assert!(idle_turns < 2, "the device spins");
        }
        // Rings over each other may offer chains for ever.
        assert!(!self.is_modelled(), "the device does not end");
    }

    fn turn(&mut self) -> Turn {
        let mut offered = self
            .model
            .as_ref()
            .map_or(Vec::new(), |model| model.offered(&self.queue));
        let before = self.queue.next_avail();
        let now = self.start + self.now;
        let turn = self.step(|device, memory, queue| device.serve(memory, queue, now));
        if let Some(request) = &turn.request {
            assert!(request.len() <= MAX_REQUEST_BYTES);
            assert!(!self.owes, "the keeper is asked twice");
            self.owes = true;
        }
        if let Some(model) = &mut self.model {
            let taken = self.queue.next_avail().wrapping_sub(before);
            assert!(usize::from(taken) <= offered.len(), "more than was offered");
            let left = offered.split_off(usize::from(taken));
            assert_eq!(turn.request, model.serve(offered, self.now));
            let is_stuck = !left.is_empty() && !turn.is_unfinished && !self.owes;
            assert!(!is_stuck, "nothing will cause another turn");
            model.check(&self.queue, self.moved.last_used, snapshot(&self.memory));
        }
        turn
    }

    /// The keeper answers, whether it was asked or not.
    pub fn answer(&mut self, length: usize) {
        self.answers = self.answers.wrapping_add(1);
        let response = vec![self.answers; length];
        let now = self.start + self.now;
        let outcome =
            self.step(|device, memory, queue| device.answer(memory, queue, &response, now));
        assert_eq!(outcome.is_ok(), self.owes);
        self.owes = false;
        if let Some(model) = &mut self.model {
            model.answer(&response, self.now);
            model.check(&self.queue, self.moved.last_used, snapshot(&self.memory));
        }
    }

    fn step<T>(&mut self, act: impl FnOnce(&mut Device, &GuestMemoryMmap, &mut Queue) -> T) -> T {
        let (avail, used) = (self.queue.next_avail(), self.queue.next_used());
        let outcome = act(&mut self.device, &self.memory, &mut self.queue);
        let taken = self.queue.next_avail().wrapping_sub(avail);
        let used = self.queue.next_used().wrapping_sub(used);
        self.moved = Moved {
            taken: self.moved.taken + u64::from(taken),
            used: self.moved.used + u64::from(used),
            last_used: used,
        };
        assert!(self.moved.used <= self.moved.taken, "more back than taken");
        let is_told = self.device.take_is_used();
        assert!(is_told || used == 0, "the driver is not told");
        outcome
    }

    /// An honest request is answered.
    pub fn check_service(&mut self) {
        if self.owes {
            self.answer(1);
        }
        let (request_at, room_at, length) = (DATA, DATA + 0x1000, 0x3000);
        let descriptor = |address, length, flags| Descriptor {
            address,
            length,
            flags,
            next: 0,
        };
        self.write(request_at, b"honest");
        for (address, length, flags) in [(request_at, 6, 0), (room_at, length, WRITE)] {
            let head = u16::from(address == room_at && self.queue.size() > 1);
            self.describe(head, descriptor(address, length, flags));
            self.offer(head);
            self.serve();
        }
        assert!(self.owes, "the honest request is not asked");
        self.answer(100);
        assert_eq!(self.moved.used, 2, "the honest request is not answered");
        let bytes = snapshot(&self.memory);
        let answer = [self.answers; 100];
        assert_eq!(bytes[room_at as usize..][..100], answer);
    }
}
