//! The host's end: clients that connect and name a port, sockets that become ready, and the clock.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

use super::{
    BACKLOG_RETRY, CALLING_PARENT_CID, Device, Entry, FIRST_CALLING_PORT, HANDSHAKE_TIMEOUT,
    HOUSEKEEPING, SOCKET_EVENTS, completions, from_guest::key_of,
};
use crate::connection::{Direction, End, Key, Phase};
use crate::greeting::{Greeting, MAX_LINE_BYTES, parse_greeting};
use crate::reactor::{EventFlags, Reactor};
use crate::refusals::{Dialler, Reason, Refusal};

impl Device {
    /// A socket of the table became ready.
    pub fn on_socket(&mut self, token: usize, flags: EventFlags, reactor: &Reactor) {
        match self.entries.get_mut(token) {
            Some(Entry::Caller { .. }) => self.on_caller(token, reactor),
            Some(Entry::Stream(stream)) => {
                let before = stream.bytes_to_host;
                if flags.contains(EventFlags::OUT) {
                    stream.flush();
                }
                let is_hung_up = flags.intersects(EventFlags::HUP | EventFlags::ERR);
                let is_ended = flags.contains(EventFlags::RDHUP);
                if is_hung_up || is_ended || flags.contains(EventFlags::IN) {
                    stream.notice(is_ended, is_hung_up);
                }
                self.counters.bytes_to_host += stream.bytes_to_host - before;
                self.settle(token, reactor);
            }
            Some(Entry::Joining { .. }) => self.on_joining(token, flags, reactor),
            Some(Entry::Dial { .. }) | None => {} // an event of a socket closed meanwhile
        }
    }

    /// Host clients have connected.
    pub fn on_listener(&mut self, reactor: &Reactor) {
        while let Ok((socket, _)) = self.listener.accept() {
            let now = Instant::now();
            if self.connection_count() >= self.limits.connections
                || !self.host_rate.take(&self.limits, now)
            {
                self.counters.refused_by_limit += 1;
                continue;
            }
            let _ = self.add_caller(socket, now, reactor); // one that fails is closed
        }
    }

    fn add_caller(
        &mut self,
        socket: UnixStream,
        now: Instant,
        reactor: &Reactor,
    ) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let slot = self.entries.vacant_entry();
        let token = slot.key();
        reactor.add(&socket, token as u64, SOCKET_EVENTS)?;
        slot.insert(Entry::Caller {
            socket,
            deadline: now + HANDSHAKE_TIMEOUT,
        });
        self.has_handshakes = true;
        Ok(())
    }

    fn on_caller(&mut self, token: usize, reactor: &Reactor) {
        let Some(Entry::Caller { socket, .. }) = self.entries.get(token) else {
            return;
        };
        match read_greeting(socket) {
            Ok(Greeting::Unfinished) => {}
            Ok(Greeting::Port { port, .. }) => {
                if let Entry::Caller { socket, .. } = self.entries.remove(token)
                    && reactor.remove(&socket).is_ok()
                {
                    self.call(port, socket, reactor);
                }
            }
            Ok(Greeting::Invalid) | Err(_) => drop(self.entries.remove(token)),
        }
    }

    /// Asks the guest for a connection to one of its ports; refused is closed.
    fn call(&mut self, guest_port: u32, socket: UnixStream, reactor: &Reactor) {
        if !self.policy.open().guest_ports.contains(guest_port) {
            self.counters.refused_by_policy += 1;
            self.refusals.note(Refusal {
                dialled_by: Dialler::Host,
                port: guest_port,
                reason: Reason::Closed,
            });
            return;
        }
        let key = self.calling_key(guest_port);
        match self.open(key, Direction::FromHost, socket.into(), reactor) {
            Some(token) => {
                self.has_handshakes = true;
                self.counters.opened_by_host += 1;
                self.settle(token, reactor);
            }
            None => self.counters.refused_by_limit += 1,
        }
    }

    fn calling_key(&mut self, guest_port: u32) -> Key {
        loop {
            self.last_parent_port = self
                .last_parent_port
                .wrapping_add(1)
                .max(FIRST_CALLING_PORT);
            let key = Key {
                parent_cid: CALLING_PARENT_CID,
                parent_port: self.last_parent_port,
                guest_port,
            };
            if !self.by_key.contains_key(&key) && !self.has_flow(&key) {
                return key;
            }
        }
    }

    /// The clock: packets the driver has not heard of, full backlogs, handshakes that take too
    /// long, streams without credit.
    pub fn on_timer(&mut self, reactor: &Reactor) {
        let now = Instant::now();
        self.completions.on_timer();
        self.retry_dials(now, reactor);
        if now.duration_since(self.housekept) < HOUSEKEEPING {
            return;
        }
        self.housekept = now;
        let overdue: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| is_overdue(entry, now))
            .map(|(token, _)| token)
            .collect();
        for token in overdue {
            match &self.entries[token] {
                Entry::Stream(_) => self.remove(token, End::Reset),
                Entry::Joining { request, .. } => self.fail_joining(token, key_of(request)),
                _ => drop(self.entries.remove(token)),
            }
        }
        self.end_overdue_flows(now);
        self.has_handshakes =
            self.entries.iter().any(|(_, entry)| is_opening(entry)) || self.is_any_flow_opening();
    }

    /// How often the clock is needed at present.
    #[must_use]
    pub fn timer_period(&self) -> Option<Duration> {
        if self.completions.are_waiting() {
            return Some(completions::MAX_DELAY);
        }
        if !self.dials.is_empty() {
            return Some(BACKLOG_RETRY);
        }
        let is_needed = self.has_handshakes || !self.ready.is_empty() || !self.resets.is_empty();
        is_needed.then_some(HOUSEKEEPING)
    }
}

fn is_opening(entry: &Entry) -> bool {
    match entry {
        Entry::Caller { .. } | Entry::Joining { .. } => true,
        Entry::Stream(stream) => matches!(stream.phase, Phase::Requesting | Phase::Requested),
        Entry::Dial { .. } => false,
    }
}

fn is_overdue(entry: &Entry, now: Instant) -> bool {
    match entry {
        Entry::Caller { deadline, .. } | Entry::Joining { deadline, .. } => *deadline <= now,
        Entry::Stream(stream) => {
            is_opening(entry) && now.duration_since(stream.opened) >= HANDSHAKE_TIMEOUT
        }
        Entry::Dial { .. } => false,
    }
}

/// Reads the first line, and not a byte more: what follows belongs to the guest.
fn read_greeting(socket: &UnixStream) -> io::Result<Greeting> {
    let mut peeked = [0; MAX_LINE_BYTES];
    let bytes = match recv(socket, &mut peeked, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => return Ok(Greeting::Invalid),
        Ok((_, bytes)) => bytes,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Greeting::Unfinished),
        Err(error) => return Err(error.into()),
    };
    let greeting = parse_greeting(&peeked[..bytes]);
    if let Greeting::Port { line_bytes, .. } = greeting {
        recv(socket, &mut peeked[..line_bytes], RecvFlags::DONTWAIT)?;
    }
    Ok(greeting)
}
