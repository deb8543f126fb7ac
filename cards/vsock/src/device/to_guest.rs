//! Packets to the guest: the round of work over both queues, in which every stream gets its turn.

use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryMmap;

use super::Device;
use super::completions::Completions;
use crate::connection::Turn;
use crate::guest_queue::{ReceiveRing, ReceptaclePool, ask_for_notification};
use crate::reactor::Reactor;

/// Which queues the driver must be told about, and whether there is more to do at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    pub receive: bool,
    pub transmit: bool,
    pub is_busy: bool,
}

impl Device {
    /// One round: takes packets from the guest, then lets every waiting stream send its share. The
    /// driver is not asked to say when it adds packets: that is for [`Device::may_rest`].
    pub fn serve(
        &mut self,
        memory: &GuestMemoryMmap,
        receive: &mut Queue,
        transmit: &mut Queue,
        reactor: &Reactor,
    ) -> Notify {
        let has_taken = self.take_packets(memory, transmit, reactor);
        let (is_sent, may_continue) = self.send_round(memory, receive, reactor);
        self.tell_kernel();
        let is_told = self.completions.take_due(transmit.size());
        Notify {
            receive: is_sent && receive.needs_notification(memory).unwrap_or(false),
            transmit: is_told && transmit.needs_notification(memory).unwrap_or(false),
            is_busy: has_taken || may_continue,
        }
    }

    /// Before the card rests, and no sooner: asks the driver to say when it adds packets, which costs
    /// it more than a packet. False when one has come by now.
    pub fn may_rest(&mut self, memory: &GuestMemoryMmap, transmit: &mut Queue) -> bool {
        // One whose packets wait for the kernel is taken up again when that calls.
        !self.may_take_packet() || !ask_for_notification(memory, transmit)
    }

    /// Whether anything was sent, and whether more can be.
    fn send_round(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &mut Queue,
        reactor: &Reactor,
    ) -> (bool, bool) {
        if self.resets.is_empty() && self.ready.is_empty() && !self.has_arrivals() {
            return (false, false);
        }
        let mut pool = std::mem::take(&mut self.pool);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut ring = ReceiveRing::new(memory, queue, &mut pool, self.guest_cid);
        let is_starved =
            !self.send_resets(&mut ring) || !self.send_by_turns(&mut ring, &mut scratch, reactor);
        let is_used = ring.is_used;
        self.counters.packets_to_guest += ring.packets;
        self.pool = pool;
        self.scratch = scratch;
        // Without buffers the driver is asked to say when it has posted some.
        let may_continue = if is_starved {
            ask_for_notification(memory, queue)
        } else {
            !self.ready.is_empty() || self.has_arrivals()
        };
        (is_used, may_continue)
    }

    /// The card's streams and the kernel's packets, each first in every other round; false once the
    /// driver's buffers have run out.
    fn send_by_turns(
        &mut self,
        ring: &mut ReceiveRing<'_>,
        scratch: &mut [u8],
        reactor: &Reactor,
    ) -> bool {
        if self.kernel_goes_first() {
            return self.send_arrivals(ring, scratch) && self.send_streams(ring, scratch, reactor);
        }
        self.send_streams(ring, scratch, reactor) && self.send_arrivals(ring, scratch)
    }

    fn send_resets(&mut self, ring: &mut ReceiveRing<'_>) -> bool {
        while let Some(header) = self.resets.front() {
            if !ring.send(header) {
                return false;
            }
            self.resets.pop_front();
        }
        true
    }

    /// Every stream that waits gets one turn; false once the driver's buffers have run out.
    fn send_streams(
        &mut self,
        ring: &mut ReceiveRing<'_>,
        scratch: &mut [u8],
        reactor: &Reactor,
    ) -> bool {
        for _ in 0..self.ready.len() {
            let Some(token) = self.ready.pop_front() else {
                return true;
            };
            let Some(stream) = self
                .stream(token)
                .filter(|stream| stream.is_queued && !stream.is_orphan())
            else {
                continue; // ended meanwhile
            };
            stream.is_queued = false;
            let before = stream.bytes_to_guest;
            let turn = stream.take_turn(ring, scratch);
            let sent = stream.bytes_to_guest - before;
            self.counters.bytes_to_guest += sent;
            if turn == Turn::NoBuffer {
                self.return_turn(token);
                return false;
            }
            self.settle(token, reactor);
        }
        true
    }

    fn return_turn(&mut self, token: usize) {
        if let Some(stream) = self.stream(token) {
            stream.is_queued = true;
            self.ready.push_front(token);
        }
    }

    /// Forgets buffers of queues that no longer exist.
    pub fn forget_queue(&mut self) {
        self.pool = ReceptaclePool::default();
        self.completions = Completions::default();
        self.drop_arrival();
    }
}
