//! The TUN device, as a descriptor that the agent has opened: one packet a call, each behind a
//! `virtio_net_hdr`.

use crate::addresses::MTU;
use crate::offload::{self, HEADER_BYTES};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Room for a packet and its header.
pub const BUFFER_BYTES: usize = HEADER_BYTES + MTU;

/// In front of a packet to the guest, so that the bytes of an IPv4 segment without options are aligned.
const PADDING: usize = 64 - HEADER_BYTES - 40;

pub struct Tun {
    device: File,
    outgoing: Box<[u8]>,
}

impl Tun {
    /// `device` must not block.
    pub fn new(device: OwnedFd) -> Self {
        Self {
            device: File::from(device),
            outgoing: vec![0; PADDING + BUFFER_BYTES].into(),
        }
    }

    /// The next packet of the guest, in `buffer`.
    ///
    /// # Errors
    /// `WouldBlock` when there is none now.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let length = (&self.device).read(buffer)?;
        Ok(buffer.get(HEADER_BYTES..length).unwrap_or_default())
    }

    /// Has `fill` write a packet of `length` bytes, and gives it to the guest. A packet that the kernel
    /// does not take is lost, as packets may be.
    pub fn send_with<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let end = HEADER_BYTES + length.min(MTU);
        let outgoing = &mut self.outgoing[PADDING..PADDING + end];
        let (header, packet) = outgoing.split_at_mut(HEADER_BYTES);
        let result = fill(packet);
        header.copy_from_slice(&offload::prepare(packet));
        let _ = (&self.device).write(outgoing);
        result
    }

    /// The same for a packet that is there.
    pub fn send(&mut self, packet: &[u8]) {
        if packet.len() <= MTU {
            self.send_with(packet.len(), |to| to.copy_from_slice(packet));
        }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
