//! Descriptor chains of AWS's NSM driver: each is either a request, all of it for the device to
//! read, or room for a response, all of it for the device to write. A request is copied out once,
//! so that nothing that was looked at changes afterwards.

use virtio_queue::DescriptorChain;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Linux drivers/misc/nsm.c: NSM_REQUEST_MAX_SIZE and NSM_RESPONSE_MAX_SIZE.
pub const MAX_REQUEST_BYTES: usize = 0x1000;
pub const MAX_RESPONSE_BYTES: usize = 0x3000;
/// The driver uses one descriptor; a chain of more than this is not followed.
const MAX_DESCRIPTORS: usize = 64;

/// What a driver has offered.
#[derive(Debug)]
pub enum Chain {
    Request(Request),
    Room(Room),
    /// It loops, leads nowhere, mixes both directions or has no descriptor.
    Malformed {
        head: u16,
    },
}

#[derive(Debug)]
pub struct Request {
    pub head: u16,
    /// Nothing when they are more than a request may have.
    pub bytes: Option<Vec<u8>>,
}

/// Where a response goes.
#[derive(Debug)]
pub struct Room {
    pub head: u16,
    segments: Vec<(GuestAddress, usize)>,
}

impl Chain {
    #[must_use]
    pub fn read(memory: &GuestMemoryMmap, chain: DescriptorChain<&GuestMemoryMmap>) -> Self {
        let head = chain.head_index();
        let descriptors: Vec<_> = chain.take(MAX_DESCRIPTORS).collect();
        // The iterator stops in silence at a loop or at a descriptor that cannot be read.
        let is_whole = descriptors.last().is_some_and(|last| !last.has_next());
        let writable = descriptors.iter().filter(|it| it.is_write_only()).count();
        if is_whole && writable == descriptors.len() {
            return Self::Room(Room::new(head, &descriptors));
        }
        if !is_whole || writable > 0 {
            return Self::Malformed { head };
        }
        let length = descriptors.iter().map(|it| it.len() as usize).sum();
        if length > MAX_REQUEST_BYTES {
            return Self::Request(Request { head, bytes: None });
        }
        copy(memory, &descriptors, length).map_or(Self::Malformed { head }, |bytes| {
            let bytes = Some(bytes);
            Self::Request(Request { head, bytes })
        })
    }
}

/// Nothing when a part lies outside guest memory.
fn copy(memory: &GuestMemoryMmap, descriptors: &[Descriptor], length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut rest = bytes.as_mut_slice();
    for descriptor in descriptors {
        let (part, later) = rest.split_at_mut(descriptor.len() as usize);
        memory.read_slice(part, descriptor.addr()).ok()?;
        rest = later;
    }
    Some(bytes)
}

impl Room {
    fn new(head: u16, descriptors: &[Descriptor]) -> Self {
        let segments = descriptors
            .iter()
            .map(|it| (it.addr(), it.len() as usize))
            .collect();
        Self { head, segments }
    }

    /// Writes as much of the response as fits, as the drivers do for a caller with little room;
    /// returns how many bytes that were, 0 when a part of it would lie outside guest memory.
    #[must_use]
    pub fn write(&self, memory: &GuestMemoryMmap, response: &[u8]) -> u32 {
        let mut rest = response;
        for (address, length) in &self.segments {
            let (now, later) = rest.split_at(rest.len().min(*length));
            if memory.write_slice(now, *address).is_err() {
                return 0;
            }
            rest = later;
        }
        (response.len() - rest.len()) as u32
    }
}
