//! The TUN device, as a descriptor that the agent has opened: one packet a call, each behind a `virtio_net_hdr`. What goes
//! to the guest is collected and given to the kernel together: a program that waits for it runs as soon as the kernel has
//! the first packet, and to switch to it and back for each one takes longer than the packet.

use crate::addresses::MTU;
use crate::offload::{self, HEADER_BYTES};
use crate::writes::{MAX_WRITES, Writes};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Room for a packet and its header.
pub const BUFFER_BYTES: usize = HEADER_BYTES + MTU;

/// In front of a packet to the guest, so that the bytes of an IPv4 segment without options are aligned.
const PADDING: usize = 64 - HEADER_BYTES - 40;
/// Of one packet to the guest with all that belongs to it.
const PLACE_BYTES: usize = (PADDING + BUFFER_BYTES).next_multiple_of(64);

pub struct Tun {
    device: File,
    outgoing: Box<[u8]>,
    /// Bytes of each packet that waits, with its header.
    waiting: Vec<usize>,
    writes: Option<Writes>,
}

impl Tun {
    /// `device` must not block. Without `writes`, each packet is given to the kernel by itself.
    pub fn new(device: OwnedFd, writes: Option<Writes>) -> Self {
        Self {
            device: File::from(device),
            outgoing: vec![0; MAX_WRITES * PLACE_BYTES].into(),
            waiting: Vec::with_capacity(MAX_WRITES),
            writes,
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

    /// Has `fill` write a packet of `length` bytes, which the guest gets with the next [`Self::flush`], or before.
    pub fn send_with<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.waiting.len() == MAX_WRITES {
            self.flush();
        }
        let start = self.waiting.len() * PLACE_BYTES + PADDING;
        let end = start + HEADER_BYTES + length.min(MTU);
        let (header, packet) = self.outgoing[start..end].split_at_mut(HEADER_BYTES);
        let result = fill(packet);
        header.copy_from_slice(&offload::prepare(packet));
        self.waiting.push(end - start);
        result
    }

    /// The same for a packet that is there.
    pub fn send(&mut self, packet: &[u8]) {
        if packet.len() <= MTU {
            self.send_with(packet.len(), |to| to.copy_from_slice(packet));
        }
    }

    /// Gives the guest what waits. A packet that the kernel does not take is lost, as packets may be.
    pub fn flush(&mut self) {
        let mut packets = [&[] as &[u8]; MAX_WRITES];
        let places = self.outgoing.chunks_exact(PLACE_BYTES);
        for ((packet, place), length) in packets.iter_mut().zip(places).zip(&self.waiting) {
            *packet = &place[PADDING..PADDING + length];
        }
        let packets = &packets[..self.waiting.len()];
        let written = match &mut self.writes {
            Some(writes) if packets.len() > 1 => writes.write(&self.device, packets),
            _ => 0,
        };
        for packet in &packets[written..] {
            let _ = (&self.device).write(packet);
        }
        self.waiting.clear();
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    /// With a socket of messages in place of the device, whose other end is the guest.
    fn tun() -> (Tun, File) {
        let flags = SockFlag::SOCK_NONBLOCK;
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags);
        let (device, guest) = pair.unwrap();
        (Tun::new(device, Writes::new().ok()), File::from(guest))
    }

    fn next(guest: &mut File) -> Option<Vec<u8>> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let length = guest.read(&mut buffer).ok()?;
        Some(buffer[HEADER_BYTES..length].to_vec())
    }

    #[test]
    fn packets_arrive_whole_and_in_order_with_and_without_writes_together() {
        for is_together in [true, false] {
            let (mut tun, mut guest) = tun();
            assert!(tun.writes.is_some(), "Linux has had the call since 2.6");
            tun.writes = tun.writes.filter(|_| is_together);
            for count in 0..3 * MAX_WRITES {
                let packets: Vec<Vec<u8>> =
                    (0..count).map(|it| vec![it as u8; 1 + it * 999]).collect();
                for packet in &packets {
                    tun.send(packet);
                }
                tun.flush();
                for packet in packets {
                    assert_eq!(next(&mut guest), Some(packet));
                }
                assert_eq!(next(&mut guest), None);
            }
        }
    }

    #[test]
    fn what_the_kernel_does_not_take_is_lost_and_nothing_else() {
        let (mut tun, mut guest) = tun();
        for _ in 0..100 * MAX_WRITES {
            tun.send(&[1; 60_000]);
        }
        tun.flush();
        while next(&mut guest).is_some() {}
        tun.send(&[2]);
        tun.flush();
        assert_eq!(next(&mut guest), Some(vec![2]));
    }
}
