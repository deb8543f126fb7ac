//! What the keeper may see: counters and a snapshot of the connections.

use std::time::Instant;

use serde::Serialize;

use super::Device;
use crate::connection::{Connection, Direction, Phase};
use crate::counters::Counters;
use crate::kernel::{Flow, FlowKey, Flows};
use crate::limits::Limits;
use crate::policy::Policy;

/// One stream, as `describe-enclaves` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionReport {
    /// Who dialled: `guest` or `host`.
    pub dialled_by: &'static str,
    pub parent_cid: u64,
    pub parent_port: u32,
    pub guest_port: u32,
    /// `opening`, `established`, or `draining` when only the host's unread bytes keep it.
    pub state: &'static str,
    pub bytes_to_guest: u64,
    pub bytes_to_host: u64,
    /// Bytes held for a slow reader on the host, and the most that may be held.
    pub buffered_bytes: usize,
    pub window_bytes: u32,
    pub age_ms: u64,
}

impl Device {
    #[must_use]
    pub fn guest_cid(&self) -> u64 {
        self.guest_cid
    }

    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.entries.len() + self.flows().map_or(0, Flows::count)
    }

    /// Bytes held for slow readers on the host, all connections together.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.streams()
            .map(|(_, stream)| stream.buffered_bytes())
            .sum()
    }

    /// Turns at sending to the guest that are waited for: at most one for each connection.
    #[must_use]
    pub fn turn_count(&self) -> usize {
        self.ready.len()
    }

    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionReport> {
        let streams = self.streams().map(|(_, stream)| report(stream));
        let flows = self.flows().into_iter().flat_map(Flows::iter);
        streams
            .chain(flows.map(|(key, flow)| report_flow(key, flow)))
            .collect()
    }
}

/// Whether the policy allows the port that a stream was dialled on.
pub(super) fn is_allowed(policy: &Policy, stream: &Connection) -> bool {
    match stream.direction {
        Direction::FromGuest => policy.open().parent_ports.contains(stream.key.parent_port),
        Direction::FromHost => policy.open().guest_ports.contains(stream.key.guest_port),
    }
}

/// Whether the policy allows the port that a stream to or from the kernel was dialled on.
pub(super) fn is_flow_allowed(policy: &Policy, key: FlowKey, flow: &Flow) -> bool {
    match flow.direction {
        Direction::FromGuest => policy.open().parent_ports.contains(key.parent_port),
        Direction::FromHost => policy.open().guest_ports.contains(key.guest_port),
    }
}

/// The card holds nothing of these for long, and promises nothing.
fn report_flow(key: FlowKey, flow: &Flow) -> ConnectionReport {
    ConnectionReport {
        dialled_by: dialler(flow.direction),
        parent_cid: flow.parent_cid,
        parent_port: key.parent_port,
        guest_port: key.guest_port,
        state: if flow.is_open {
            "established"
        } else {
            "opening"
        },
        bytes_to_guest: flow.bytes_to_guest,
        bytes_to_host: flow.bytes_to_host,
        buffered_bytes: 0,
        window_bytes: 0,
        age_ms: age_ms(flow.opened),
    }
}

fn dialler(direction: Direction) -> &'static str {
    match direction {
        Direction::FromGuest => "guest",
        Direction::FromHost => "host",
    }
}

fn age_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn report(stream: &Connection) -> ConnectionReport {
    ConnectionReport {
        dialled_by: dialler(stream.direction),
        parent_cid: stream.key.parent_cid,
        parent_port: stream.key.parent_port,
        guest_port: stream.key.guest_port,
        state: match stream.phase {
            _ if stream.is_orphan() => "draining",
            Phase::Established => "established",
            _ => "opening",
        },
        bytes_to_guest: stream.bytes_to_guest,
        bytes_to_host: stream.bytes_to_host,
        buffered_bytes: stream.buffered_bytes(),
        window_bytes: stream.credit.window(),
        age_ms: age_ms(stream.opened),
    }
}
