//! The flows by their place and by their pair, and when each is to be looked at again.

use crate::budget::{Budget, Share};
use crate::connection::Connection;
use crate::datagrams::Datagrams;
use crate::inquiry::Inquiry;
use crate::packet::Pair;
use crate::upstream::Upstream;
use crate::wakes::Wakes;
use cloister_egress_policy::Protocol;
use slab::Slab;
use std::collections::HashMap;
use std::time::Instant;

pub enum Flow {
    Connection(Connection),
    Datagrams(Datagrams),
    Inquiry(Inquiry),
}

impl Flow {
    pub fn upstream(&mut self) -> Option<&mut Upstream> {
        match self {
            Self::Connection(flow) => Some(&mut flow.upstream),
            Self::Datagrams(flow) => Some(&mut flow.upstream),
            Self::Inquiry(_) => None,
        }
    }

    /// Gives back what it has beside its share.
    pub fn leave(self, budget: &mut Budget) {
        match self {
            Self::Connection(flow) => flow.leave(&mut budget.spares),
            Self::Datagrams(flow) => {
                if let Some(extra) = flow.extra {
                    budget.release(extra);
                }
            }
            Self::Inquiry(_) => {}
        }
    }
}

pub type Identity = (Protocol, Pair);

pub struct Entry {
    pub flow: Flow,
    pub identity: Identity,
    /// Tells a flow from an earlier one at the same place.
    pub serial: u64,
    pub share: Share,
    /// Whether it waits for its turn already.
    is_due: bool,
}

#[derive(Default)]
pub struct Table {
    entries: Slab<Entry>,
    places: HashMap<Identity, usize>,
    due: Vec<usize>,
    wakes: Wakes,
    last_serial: u64,
}

impl Table {
    /// The place that the next flow gets.
    pub fn vacant_key(&self) -> usize {
        self.entries.vacant_key()
    }

    pub fn insert(&mut self, identity: Identity, flow: Flow, share: Share) -> usize {
        self.last_serial += 1;
        let key = self.entries.insert(Entry {
            flow,
            identity,
            serial: self.last_serial,
            share,
            is_due: false,
        });
        self.places.insert(identity, key);
        key
    }

    pub fn find(&self, identity: &Identity) -> Option<usize> {
        self.places.get(identity).copied()
    }

    pub fn get_mut(&mut self, key: usize) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub fn remove(&mut self, key: usize) -> Option<Entry> {
        let entry = self.entries.try_remove(key)?;
        self.places.remove(&entry.identity);
        self.wakes.remove(key);
        Some(entry)
    }

    /// The flow of datagrams that has been idle longest.
    pub fn most_idle_datagrams(&self) -> Option<usize> {
        let used = |entry: &Entry| match &entry.flow {
            Flow::Datagrams(flow) => Some(flow.used),
            _ => None,
        };
        let idle = self
            .entries
            .iter()
            .filter_map(|(key, entry)| Some((used(entry)?, key)));
        idle.min().map(|(_, key)| key)
    }

    /// Gives a flow its turn.
    pub fn mark(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key)
            && !entry.is_due
        {
            entry.is_due = true;
            self.due.push(key);
        }
    }

    /// The flows whose turn it is, which then is over.
    pub fn take_due(&mut self) -> Vec<usize> {
        let due = std::mem::take(&mut self.due);
        for key in &due {
            if let Some(entry) = self.entries.get_mut(*key) {
                entry.is_due = false;
            }
        }
        due
    }

    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Gives a flow a turn at `time`, or before, in place of an earlier order.
    pub fn wake_at(&mut self, key: usize, time: Option<Instant>) {
        self.wakes.set(key, time);
    }

    /// Gives those flows a turn whose time has come.
    pub fn wake(&mut self, now: Instant) {
        while let Some(key) = self.wakes.take(now) {
            self.mark(key);
        }
    }

    /// When the next flow has a turn.
    pub fn next_wake(&mut self) -> Option<Instant> {
        self.wakes.next()
    }
}
