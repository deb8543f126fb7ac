//! Packets from the host's kernel to the guest. A program of the host that dials the enclave's CID is
//! under the same port policy and limits as one that connects to its unix socket.

use std::time::Instant;

use super::{CALLING_PARENT_CID, Device};
use crate::connection::{Direction, Key};
use crate::guest_queue::ReceiveRing;
use crate::kernel::{Arrival, Flow, FlowKey, HOST_CID};
use crate::packet::{Header, Operation, TYPE_STREAM};
use crate::refusals::{Dialler, Reason, Refusal};

/// Packets that the kernel may send to the guest before the card's own streams get their turn.
const PACKETS_IN_A_ROUND: usize = 16;

impl Device {
    /// Whether the kernel has sent something.
    pub(super) fn has_arrivals(&self) -> bool {
        self.kernel
            .as_ref()
            .is_some_and(|kernel| kernel.link.inbox.has_arrivals())
    }

    /// Whether the kernel's packets come first in this round; in the next one it is otherwise.
    pub(super) fn kernel_goes_first(&mut self) -> bool {
        self.kernel.as_mut().is_some_and(|kernel| {
            kernel.goes_first = !kernel.goes_first;
            kernel.goes_first
        })
    }

    /// Passes on what the kernel has sent; false once the driver's buffers have run out.
    pub(super) fn send_arrivals(&mut self, ring: &mut ReceiveRing<'_>, scratch: &mut [u8]) -> bool {
        for _ in 0..PACKETS_IN_A_ROUND {
            let Some(arrival) = self.next_arrival() else {
                return true;
            };
            if !self.send_arrival(&arrival, ring, scratch) {
                return false;
            }
            self.drop_arrival();
        }
        true
    }

    /// Lets go of a packet, whether or not the guest has it.
    pub(super) fn drop_arrival(&mut self) {
        if let Some(kernel) = &mut self.kernel {
            kernel.link.inbox.finish();
        }
    }

    /// The packet that was begun, or else the next one that the guest is to have.
    fn next_arrival(&mut self) -> Option<Arrival> {
        if let Some(begun) = self.kernel.as_ref()?.link.inbox.begun() {
            return Some(begun);
        }
        for _ in 0..PACKETS_IN_A_ROUND {
            let arrival = self.kernel.as_mut()?.link.inbox.begin()?;
            if let Some(parent_cid) = self.admit(&arrival.header) {
                return self.kernel.as_mut()?.link.inbox.readdress(parent_cid);
            }
            self.drop_arrival();
        }
        None // more of them in the next round
    }

    fn send_arrival(
        &mut self,
        arrival: &Arrival,
        ring: &mut ReceiveRing<'_>,
        scratch: &mut [u8],
    ) -> bool {
        let Some(kernel) = &mut self.kernel else {
            return true;
        };
        let payload = &mut scratch[..arrival.left()];
        if payload.is_empty() {
            return ring.send(&arrival.header);
        }
        kernel.link.inbox.copy_payload(arrival, payload);
        let sent = deliver(ring, &arrival.header, payload);
        kernel.link.inbox.advance(sent);
        self.counters.bytes_to_guest += sent as u64;
        if let Some(flow) = kernel.flows.get_mut(key_of_kernel(&arrival.header)) {
            flow.bytes_to_guest += sent as u64;
        }
        sent == payload.len()
    }

    /// Whether the guest is to have a packet, and by which CID it knows the parent that sends it.
    fn admit(&mut self, header: &Header) -> Option<u64> {
        let key = key_of_kernel(header);
        let flow = self.flows()?.get(key).copied();
        let operation = Operation::from_wire(header.operation).filter(|_| {
            header.kind == TYPE_STREAM
                && header.src_cid == HOST_CID
                && header.dst_cid == self.guest_cid
        });
        match (operation, flow) {
            (Some(Operation::Request), None) => self.on_kernel_request(key),
            (Some(operation), Some(flow)) => self.on_kernel_packet(operation, key, &flow),
            (None, Some(_)) => {
                self.reset_flow(key);
                None
            }
            (_, None) => {
                if header.operation != Operation::Reset as u16 {
                    self.reset_at_kernel(key, header.kind); // of a stream that has ended
                }
                None
            }
        }
    }

    /// A program of the host dials the enclave's CID.
    fn on_kernel_request(&mut self, key: FlowKey) -> Option<u64> {
        let parent_cid = CALLING_PARENT_CID;
        let own = Key {
            parent_cid,
            parent_port: key.parent_port,
            guest_port: key.guest_port,
        };
        if !self.policy.is_open_to_programs(key.guest_port) {
            self.counters.refused_by_policy += 1;
            self.refusals.note(Refusal {
                dialled_by: Dialler::Host,
                port: key.guest_port,
                reason: Reason::Closed,
            });
        } else if !self.has_place_for_programs() || self.by_key.contains_key(&own) {
            self.counters.refused_by_limit += 1; // or one of the card's own streams has the ports
        } else if let Some(kernel) = &mut self.kernel {
            let flow = Flow::new(parent_cid, Direction::FromHost);
            kernel.flows.insert(key, flow);
            self.counters.opened_by_host += 1;
            self.has_handshakes = true;
            return Some(parent_cid);
        }
        self.reset_at_kernel(key, TYPE_STREAM);
        None
    }

    /// Programs of any user have half of the places, and a rate of their own: the guest and the enclave's
    /// user keep the rest.
    fn has_place_for_programs(&mut self) -> bool {
        let has_room = self.connection_count() < self.limits.connections;
        self.kernel.as_mut().is_some_and(|kernel| {
            has_room
                && kernel.flows.count_from_host() < self.limits.connections.div_ceil(2)
                && kernel.rate.take(&self.limits, Instant::now())
        })
    }

    fn on_kernel_packet(&mut self, operation: Operation, key: FlowKey, flow: &Flow) -> Option<u64> {
        let is_awaited = !flow.is_open && flow.direction == Direction::FromGuest;
        let kernel = self.kernel.as_mut()?;
        match operation {
            Operation::Response if is_awaited => {
                kernel.flows.get_mut(key)?.is_open = true;
                self.counters.opened_by_guest += 1;
            }
            Operation::Request | Operation::Response => {
                self.reset_flow(key); // the guest has not heard yet that the last one has ended
                return None;
            }
            Operation::Reset => {
                kernel.flows.remove(key);
                if is_awaited {
                    self.note_unserved(key.parent_port);
                }
            }
            _ => {}
        }
        Some(flow.parent_cid)
    }

    fn note_unserved(&mut self, port: u32) {
        self.counters.refused_without_listener += 1;
        self.refusals.note(Refusal {
            dialled_by: Dialler::Guest,
            port,
            reason: Reason::Unserved,
        });
    }
}

/// Sends as much of the payload as the driver's buffers hold; how many bytes that was.
fn deliver(ring: &mut ReceiveRing<'_>, header: &Header, payload: &[u8]) -> usize {
    let mut sent = 0;
    while sent < payload.len() && ring.reserve(payload.len() - sent).is_some() {
        let part = ring.deliver(header, &payload[sent..]);
        if part == 0 {
            break; // cannot happen: a buffer was reserved
        }
        sent += part;
    }
    ring.release();
    sent
}

fn key_of_kernel(header: &Header) -> FlowKey {
    FlowKey {
        parent_port: header.src_port,
        guest_port: header.dst_port,
    }
}
