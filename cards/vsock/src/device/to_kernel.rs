//! Packets from the guest to the host's kernel. The card takes part in nothing but what it must answer for:
//! addresses, ports, the opening of a stream and what the guest promises to take. Data is checked by the
//! kernel, as that of every guest whose vsock it serves.

use std::io;
use std::time::Instant;

use super::joining::is_absent;
use super::{Device, HANDSHAKE_TIMEOUT};
use crate::connection::{Direction, Key};
use crate::kernel::{Flow, FlowKey, Flows, HOST_CID, Link, MAX_PAYLOAD_BYTES};
use crate::limits::RateLimiter;
use crate::packet::{Header, Operation, TYPE_STREAM};
use crate::policy::Policy;

/// The kernel's end of a device.
pub(super) struct Kernel {
    pub link: Link,
    pub flows: Flows,
    /// Whether its packets come before those of the card's own streams in the next round.
    pub goes_first: bool,
    /// Of dials by programs of the host: any user's, which take nothing from the operator's own.
    pub rate: RateLimiter,
}

impl Kernel {
    pub fn new(link: Link, rate: RateLimiter) -> Self {
        Self {
            link,
            flows: Flows::default(),
            goes_first: false,
            rate,
        }
    }

    /// Takes a stream out of the table, and drops what the guest has half of.
    pub fn forget(&mut self, key: FlowKey) -> Option<Flow> {
        let inbox = &mut self.link.inbox;
        let is_begun =
            |it: &Header| it.src_port == key.parent_port && it.dst_port == key.guest_port;
        if inbox.begun().is_some_and(|it| is_begun(&it.header)) {
            inbox.finish();
        }
        self.flows.remove(key)
    }
}

pub(super) fn flow_key(key: &Key) -> FlowKey {
    FlowKey {
        parent_port: key.parent_port,
        guest_port: key.guest_port,
    }
}

impl Device {
    pub(super) fn flows(&self) -> Option<&Flows> {
        self.kernel.as_ref().map(|kernel| &kernel.flows)
    }

    /// Whether the kernel has a stream by these ports, whatever the guest calls its parent.
    pub(super) fn has_flow(&self, key: &Key) -> bool {
        self.flows()
            .is_some_and(|it| it.get(flow_key(key)).is_some())
    }

    /// Whether this is a stream with the kernel.
    pub(super) fn is_flow(&self, key: &Key) -> bool {
        let flow = self.flows().and_then(|flows| flows.get(flow_key(key)));
        flow.is_some_and(|flow| flow.parent_cid == key.parent_cid)
    }

    /// Whether a packet of the guest could be passed on now. Those behind it wait as well.
    pub(super) fn may_take_packet(&mut self) -> bool {
        self.kernel
            .as_mut()
            .is_none_or(|kernel| kernel.link.outbox.has_room())
    }

    /// Whether a port without a unix listener is the kernel's. The keeper's own ports never are.
    pub(super) fn may_ask_kernel(&self, error: &io::Error, port: u32) -> bool {
        is_absent(error) && self.kernel.is_some() && !self.policy.reserved().contains(port)
    }

    /// Passes on a guest's request that the policy allows.
    pub(super) fn ask_kernel(&mut self, request: &Header) {
        let key = super::key_of(request);
        let has_room = self.may_take_packet();
        if self.has_flow(&key) || !has_room {
            self.counters.refused_by_limit += 1; // the other parent CID has it, or a backlog's worth waits
            self.reset(key);
            return;
        }
        if let Some(kernel) = &mut self.kernel {
            let mut flow = Flow::new(key.parent_cid, Direction::FromGuest);
            let request = flow.credit.bound(request, 0);
            kernel.flows.insert(flow_key(&key), flow);
            send(kernel, &request, &[]);
            self.has_handshakes = true;
        }
    }

    pub(super) fn on_flow_packet(&mut self, key: Key, header: &Header, payload: &[u8]) {
        let operation = Operation::from_wire(header.operation)
            .filter(|_| header.kind == TYPE_STREAM && payload.len() <= MAX_PAYLOAD_BYTES);
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        let Some(flow) = kernel.flows.get_mut(flow_key(&key)) else {
            return;
        };
        let header = &flow.credit.bound(header, flow.bytes_to_guest);
        match operation.filter(|it| is_legal(*it, flow)) {
            None => {
                self.counters.violations += 1;
                self.reset_flow(flow_key(&key));
                return;
            }
            Some(Operation::ReadWrite) if payload.is_empty() => return, // would stay with the kernel unread
            Some(Operation::Reset) => {
                let is_refusal = !flow.is_open && flow.direction == Direction::FromHost;
                self.counters.refused_without_listener += u64::from(is_refusal);
                kernel.forget(flow_key(&key));
            }
            Some(Operation::Response) => flow.is_open = true,
            Some(Operation::ReadWrite) => {
                flow.bytes_to_host += payload.len() as u64;
                self.counters.bytes_to_host += payload.len() as u64;
                send(kernel, header, payload);
                return;
            }
            Some(_) => {}
        }
        send(kernel, header, &[]);
    }

    /// Ends a stream for both of its peers.
    pub(super) fn reset_flow(&mut self, key: FlowKey) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        let Some(flow) = kernel.forget(key) else {
            return;
        };
        self.reset(Key {
            parent_cid: flow.parent_cid,
            parent_port: key.parent_port,
            guest_port: key.guest_port,
        });
        self.reset_at_kernel(key, TYPE_STREAM);
    }

    /// Ends those streams that `is_over` names.
    pub(super) fn reset_flows(&mut self, is_over: fn(&Policy, FlowKey, &Flow) -> bool) {
        let flows = self.flows().into_iter().flat_map(Flows::iter);
        let over = flows.filter(|(key, flow)| is_over(&self.policy, *key, flow));
        let over: Vec<_> = over.map(|(key, _)| key).collect();
        over.into_iter().for_each(|key| self.reset_flow(key));
        self.tell_kernel();
    }

    /// Tells the kernel that there is no such stream.
    pub(super) fn reset_at_kernel(&mut self, key: FlowKey, kind: u16) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        let reset = Header {
            src_cid: self.guest_cid,
            dst_cid: HOST_CID,
            src_port: key.guest_port,
            dst_port: key.parent_port,
            kind,
            operation: Operation::Reset as u16,
            ..Header::default()
        };
        self.counters.dropped_resets += u64::from(!kernel.link.outbox.reset(reset));
    }

    pub(super) fn is_any_flow_opening(&self) -> bool {
        self.flows().is_some_and(Flows::is_any_opening)
    }

    /// Ends streams whose other peer takes too long to answer.
    pub(super) fn end_overdue_flows(&mut self, now: Instant) {
        let overdue = self
            .flows()
            .map(|flows| flows.overdue(now, HANDSHAKE_TIMEOUT));
        for key in overdue.into_iter().flatten() {
            self.reset_flow(key);
        }
        self.tell_kernel();
    }

    /// Tells the kernel of what is new in its rings.
    pub(super) fn tell_kernel(&mut self) {
        if let Some(kernel) = &mut self.kernel {
            kernel.link.tell();
        }
    }
}

/// A guest that was dialled answers first, and one that dials waits for the answer.
fn is_legal(operation: Operation, flow: &Flow) -> bool {
    match operation {
        Operation::Request => false,
        Operation::Response => !flow.is_open && flow.direction == Direction::FromHost,
        Operation::Reset | Operation::CreditUpdate => true,
        Operation::ReadWrite | Operation::Shutdown | Operation::CreditRequest => flow.is_open,
    }
}

/// Passes a packet on, with the payload that it may have.
fn send(kernel: &mut Kernel, header: &Header, payload: &[u8]) {
    let header = Header {
        dst_cid: HOST_CID,
        len: payload.len() as u32,
        ..*header
    };
    kernel.link.outbox.send(&header, payload);
}
