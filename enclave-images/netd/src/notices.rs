//! Refusals that the operator is to read of: the host part keeps the journal, so it is asked for what was
//! refused here, once for each destination, and whatever it answers is dropped.

use crate::upstream::{Dial, Upstream};
use cloister_egress_policy::Name;
use cloister_egress_policy::wire::Request;
use nix::sys::epoll::EpollFlags;
use slab::Slab;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;

/// Destinations that are told of; the host part keeps as many.
const MAX_TOLD: usize = 256;
/// Notices on their way.
const MAX_OPEN: usize = 16;

#[derive(Default)]
pub struct Notices {
    told: HashSet<u64>,
    hashes: RandomState,
    open: Slab<Upstream>,
}

impl Notices {
    /// Whether this name is to be told of, which it then is.
    pub fn is_new_name(&mut self, name: &Name) -> bool {
        let hash = self.hashes.hash_one(name);
        self.is_new(hash)
    }

    fn is_new(&mut self, hash: u64) -> bool {
        self.told.len() < MAX_TOLD && self.told.insert(hash)
    }

    /// Asks the host part for what was refused. The caller watches the stream under the number that
    /// `watch` gets.
    pub fn tell(
        &mut self,
        request: &Request,
        dial: &Dial,
        watch: impl FnOnce(&Upstream, usize) -> io::Result<()>,
    ) {
        let hash = self.hashes.hash_one(request.encode());
        if self.open.len() >= MAX_OPEN || !self.is_new(hash) {
            return;
        }
        let key = self.open.vacant_key();
        let opened = Upstream::open(dial, request);
        if let Ok(stream) = opened.and_then(|stream| watch(&stream, key).map(|()| stream)) {
            self.open.insert(stream);
        }
    }

    /// Goes on with one; it is over when it is answered.
    pub fn note(&mut self, key: usize, events: EpollFlags) {
        if let Some(stream) = self.open.get_mut(key) {
            stream.note(events);
            if !matches!(stream.answer(), Ok(None)) {
                self.open.remove(key);
            }
        }
    }
}
