//! What the keeper may see: counters and a snapshot of the connections.

use serde::Serialize;

use super::Device;
use crate::connection::{Connection, Direction, Phase};
use crate::counters::Counters;
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
        self.entries.len()
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
        self.streams().map(|(_, stream)| report(stream)).collect()
    }
}

/// Whether the policy allows the port that a stream was dialled on.
pub(super) fn is_allowed(policy: &Policy, stream: &Connection) -> bool {
    match stream.direction {
        Direction::FromGuest => policy.open().parent_ports.contains(stream.key.parent_port),
        Direction::FromHost => policy.open().guest_ports.contains(stream.key.guest_port),
    }
}

fn report(stream: &Connection) -> ConnectionReport {
    ConnectionReport {
        dialled_by: match stream.direction {
            Direction::FromGuest => "guest",
            Direction::FromHost => "host",
        },
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
        age_ms: u64::try_from(stream.opened.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
