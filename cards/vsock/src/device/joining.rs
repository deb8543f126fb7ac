//! A guest's request for a port where no unix socket listens, and the host's own `AF_VSOCK` is asked.

use std::io;
use std::time::Instant;

use rustix::net::sockopt::socket_error;

use super::from_guest::key_of;
use super::{Device, Entry, HANDSHAKE_TIMEOUT, SOCKET_EVENTS};
use crate::connection::Key;
use crate::packet::Header;
use crate::reactor::{EventFlags, Reactor};
use crate::refusals::Reason;

impl Device {
    /// Whether a port whose unix listener could not be reached is dialled at the host's `AF_VSOCK`.
    /// The keeper's own ports never are, nor one whose listener keeps the card out.
    pub(super) fn may_join(&self, error: &io::Error, port: u32) -> bool {
        is_absent(error) && self.host_vsock.is_some() && !self.policy.reserved().contains(port)
    }

    /// Dials a port of the host; the answer comes later.
    pub(super) fn join(&mut self, request: &Header, reactor: &Reactor) {
        let key = key_of(request);
        let Some(host) = self.host_vsock.as_mut() else {
            return;
        };
        let Ok(socket) = host.dial(key.parent_port) else {
            self.refuse_unserved(key);
            return;
        };
        let slot = self.entries.vacant_entry();
        let token = slot.key();
        if reactor
            .add(&socket, token as u64, SOCKET_EVENTS | EventFlags::OUT)
            .is_err()
        {
            self.refuse_unserved(key);
            return;
        }
        slot.insert(Entry::Joining {
            request: *request,
            socket,
            deadline: Instant::now() + HANDSHAKE_TIMEOUT,
        });
        self.by_key.insert(key, token);
        self.has_handshakes = true;
    }

    /// The host's socket has connected or failed.
    pub(super) fn on_joining(&mut self, token: usize, flags: EventFlags, reactor: &Reactor) {
        let Some(Entry::Joining {
            request, socket, ..
        }) = self.entries.get(token)
        else {
            return;
        };
        let key = key_of(request);
        let has_failed =
            !matches!(socket_error(socket), Ok(Ok(()))) || flags.contains(EventFlags::ERR);
        let is_allowed = self.policy.open().parent_ports.contains(key.parent_port);
        if has_failed || !is_allowed {
            self.fail_joining(token, key);
        } else if flags.contains(EventFlags::OUT)
            && let Some(Entry::Joining {
                request, socket, ..
            }) = self.entries.try_remove(token)
        {
            self.by_key.remove(&key);
            if reactor.remove(&socket).is_ok() {
                self.accept(&request, socket, reactor);
            }
        }
    }

    /// The listener has refused, or did not answer in time.
    pub(super) fn fail_joining(&mut self, token: usize, key: Key) {
        self.drop_dial(token, key);
        self.refuse_unserved(key);
    }

    pub(super) fn refuse_unserved(&mut self, key: Key) {
        self.counters.refused_without_listener += 1;
        self.refuse_dial(key, Reason::Unserved);
    }
}

/// Whether there is no unix socket. One whose listener has died stays that listener's: what it would have
/// been sent is not for whoever else listens.
pub(super) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
