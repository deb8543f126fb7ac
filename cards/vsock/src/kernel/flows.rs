//! The streams between the guest and the kernel: who dialled, by which CID the guest knows the parent,
//! whether both have agreed, and what the guest promises to take. Their bytes and ends are the two peers' own
//! matter.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::credit::Credit;
use crate::connection::Direction;

/// What names a stream for the kernel, which knows one CID of the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    pub parent_port: u32,
    pub guest_port: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The parent's CID as the guest knows it.
    pub parent_cid: u64,
    pub direction: Direction,
    /// Whether the one that was dialled has accepted.
    pub is_open: bool,
    pub opened: Instant,
    pub bytes_to_guest: u64,
    pub bytes_to_host: u64,
    pub credit: Credit,
}

impl Flow {
    #[must_use]
    pub fn new(parent_cid: u64, direction: Direction) -> Self {
        Self {
            parent_cid,
            direction,
            is_open: false,
            opened: Instant::now(),
            bytes_to_guest: 0,
            bytes_to_host: 0,
            credit: Credit::default(),
        }
    }
}

/// All of them; the device bounds how many.
#[derive(Debug, Default)]
pub struct Flows(HashMap<FlowKey, Flow>);

impl Flows {
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many the host has dialled.
    #[must_use]
    pub fn count_from_host(&self) -> usize {
        let is_from_host = |flow: &&Flow| flow.direction == Direction::FromHost;
        self.0.values().filter(is_from_host).count()
    }

    #[must_use]
    pub fn get(&self, key: FlowKey) -> Option<&Flow> {
        self.0.get(&key)
    }

    pub fn get_mut(&mut self, key: FlowKey) -> Option<&mut Flow> {
        self.0.get_mut(&key)
    }

    pub fn insert(&mut self, key: FlowKey, flow: Flow) {
        self.0.insert(key, flow);
    }

    pub fn remove(&mut self, key: FlowKey) -> Option<Flow> {
        self.0.remove(&key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (FlowKey, &Flow)> {
        self.0.iter().map(|(key, flow)| (*key, flow))
    }

    /// Whether one waits for its answer.
    #[must_use]
    pub fn is_any_opening(&self) -> bool {
        self.0.values().any(|flow| !flow.is_open)
    }

    /// Those that wait for their answer since `timeout`.
    #[must_use]
    pub fn overdue(&self, now: Instant, timeout: Duration) -> Vec<FlowKey> {
        let is_overdue = |flow: &Flow| !flow.is_open && now.duration_since(flow.opened) >= timeout;
        let overdue = self.iter().filter(|(_, flow)| is_overdue(flow));
        overdue.map(|(key, _)| key).collect()
    }
}
