//! A device, with a driver written by hand on one side and a keeper's answers on the other.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use cloister_nsm::device::Device;
use virtio_queue::{Queue, QueueT};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::driver::{AVAILABLE, Driver, MEMORY_BYTES, QUEUE_SIZE, TABLE, USED};

pub struct Rig {
    pub device: Device,
    driver: Driver,
    queue: Queue,
    now: Instant,
}

impl Rig {
    pub fn new() -> Self {
        Self::with_available_ring(AVAILABLE)
    }

    /// With the ring where the driver's methods do not write, until the queue starts anew.
    pub fn with_available_ring(address: u64) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap();
        Self {
            device: Device::default(),
            driver: Driver::new(memory),
            queue: ready_queue(address),
            now: Instant::now(),
        }
    }

    pub fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Turns until nothing is left to do; what the keeper was asked.
    pub fn serve(&mut self) -> Vec<Vec<u8>> {
        let mut requests = Vec::new();
        for _ in 0..1000 {
            let turn = self
                .device
                .serve(&self.driver.memory, &mut self.queue, self.now);
            requests.extend(turn.request);
            if !turn.is_unfinished {
                return requests;
            }
        }
        panic!("the device spins");
    }

    /// The keeper's answer; false when nothing was asked.
    pub fn answer(&mut self, response: &[u8]) -> bool {
        self.device
            .answer(&self.driver.memory, &mut self.queue, response, self.now)
            .is_ok()
    }

    /// Stops the queue and starts it anew.
    pub fn restart(&mut self) {
        self.device.forget_queue();
        self.queue = ready_queue(AVAILABLE);
        self.driver.restart();
    }
}

impl Deref for Rig {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.driver
    }
}

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Driver {
        &mut self.driver
    }
}

fn ready_queue(available: u64) -> Queue {
    let mut queue = Queue::new(QUEUE_SIZE).unwrap();
    queue.set_desc_table_address(Some(TABLE as u32), Some(0));
    queue.set_avail_ring_address(Some(available as u32), Some(0));
    queue.set_used_ring_address(Some(USED as u32), Some(0));
    queue.set_ready(true);
    queue
}
