//! What vhost-vsock is at the shadow rings: the device side of two split queues, read by rust-vmm's
//! code for devices, not by the card's own.

use std::sync::Arc;

use cloister_vsock::kernel::{Addresses, Link, SLOTS};
use cloister_vsock::packet::{HEADER_BYTES, Header, parse_packet};
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestMemoryMmap};

pub struct HostKernel {
    memory: Arc<GuestMemoryMmap>,
    receive: Queue,
    transmit: Queue,
}

impl HostKernel {
    pub fn new(link: &Link) -> Self {
        let [receive, transmit] = link.rings().map(|(addresses, _)| queue(addresses));
        Self {
            memory: link.memory(),
            receive,
            transmit,
        }
    }

    /// Puts a packet into the next buffer that was offered; false when there is none.
    pub fn send(&mut self, header: &Header, payload: &[u8]) -> bool {
        let memory = &*self.memory;
        let Some(chain) = self.receive.iter(memory).unwrap().next() else {
            return false;
        };
        let head = chain.head_index();
        let buffer = chain.clone().next().unwrap();
        assert!(buffer.is_write_only());
        let header = Header {
            len: payload.len() as u32,
            ..*header
        };
        let bytes = [&header.encode()[..], payload].concat();
        assert!(bytes.len() <= buffer.len() as usize);
        memory.write_slice(&bytes, buffer.addr()).unwrap();
        let used = bytes.len() as u32;
        self.receive.add_used(memory, head, used).unwrap();
        true
    }

    /// The next packet of the card's, as the kernel reads it.
    pub fn take(&mut self) -> Option<(Header, Vec<u8>)> {
        let memory = &*self.memory;
        let chain = self.transmit.iter(memory).unwrap().next()?;
        let head = chain.head_index();
        let buffer = chain.clone().next().unwrap();
        assert!(!buffer.is_write_only());
        let mut bytes = vec![0; buffer.len() as usize];
        memory.read_slice(&mut bytes, buffer.addr()).unwrap();
        self.transmit.add_used(memory, head, 0).unwrap();
        let (header, payload) = parse_packet(&bytes).expect("a whole packet");
        assert_eq!(bytes.len(), HEADER_BYTES + payload.len());
        Some((header, payload.to_vec()))
    }

    /// All that the card has sent.
    pub fn take_all(&mut self) -> Vec<(Header, Vec<u8>)> {
        std::iter::from_fn(|| self.take()).collect()
    }
}

fn queue(at: Addresses) -> Queue {
    let mut queue = Queue::new(SLOTS).unwrap();
    queue.set_desc_table_address(Some(at.descriptors as u32), Some(0));
    queue.set_avail_ring_address(Some(at.available as u32), Some(0));
    queue.set_used_ring_address(Some(at.used as u32), Some(0));
    queue.set_ready(true);
    queue
}
