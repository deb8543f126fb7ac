//! Packets from the guest to flows, and back: one thread, one epoll set.

use crate::addresses::is_router;
use crate::answer::{self, Unreachable};
use crate::budget::{Budget, Share};
use crate::connection::Connection;
use crate::datagrams::Datagrams;
use crate::flow::{Clock, Outcome, Surroundings, deny, refuse_connection, send_unreachable};
use crate::inquiry::Inquiry;
use crate::notices::Notices;
use crate::packet::{Flags, Packet, Pair};
use crate::resolver::{self, Client, Reply, Resolver};
use crate::rules::Rules;
use crate::table::{Flow, Table};
use crate::tun::{BUFFER_BYTES, Tun};
use crate::upstream::{Dial, Upstream, watch};
use cloister_egress_policy::Protocol;
use cloister_egress_policy::dns::Unanswered;
use cloister_egress_policy::wire::MAX_FRAME_BYTES;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Duration;

/// Epoll's numbers for what is not a flow.
const TUN: u64 = u64::MAX;
const RESOLVER: u64 = u64::MAX - 1;
/// The bit of those of notices.
const NOTICE: u64 = 1 << 62;
const MAX_EVENTS: usize = 128;
/// Packets that are taken before flows have their turn.
const MAX_PACKETS: usize = 64;

/// Of fields alone, so that the table is still free.
macro_rules! around {
    ($self:ident) => {
        Surroundings {
            tun: &mut $self.tun,
            scratch: &mut $self.scratch,
            clock: $self.clock,
            budget: &mut $self.budget,
        }
    };
}

pub struct Router {
    tun: Tun,
    epoll: Epoll,
    dial: Dial,
    rules: Rules,
    resolver: Resolver,
    notices: Notices,
    table: Table,
    budget: Budget,
    clock: Clock,
    scratch: Vec<u8>,
    incoming: Vec<u8>,
}

impl Router {
    pub fn new(tun: Tun, dial: Dial, rules: Rules, budget: Budget) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&tun, EpollEvent::new(EpollFlags::EPOLLIN, TUN))?;
        Ok(Self {
            tun,
            epoll,
            dial,
            rules,
            resolver: Resolver::default(),
            notices: Notices::default(),
            table: Table::default(),
            budget,
            clock: Clock::start(),
            scratch: vec![0; MAX_FRAME_BYTES],
            incoming: vec![0; BUFFER_BYTES],
        })
    }

    /// Until the device fails. First it ends the connections of an earlier netd.
    pub fn run(mut self, stale: impl IntoIterator<Item = Pair>) -> io::Result<Infallible> {
        for pair in stale {
            self.tun.send(&answer::opening(&pair));
        }
        self.tun.flush();
        loop {
            let limit = self.timeout();
            self.turn(limit)?;
        }
    }

    /// Waits for something to happen, no longer than `limit`, and does what is to be done.
    pub fn turn(&mut self, limit: EpollTimeout) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); MAX_EVENTS];
        let count = match self.epoll.wait(&mut events, limit) {
            Err(Errno::EINTR) => 0,
            result => result?,
        };
        self.clock.advance();
        let events = events.get(..count).unwrap_or_default();
        for event in events {
            self.note(event.data(), event.events());
        }
        self.table.wake(self.clock.now);
        if events.iter().any(|event| event.data() == TUN) {
            self.take_packets()?;
        }
        self.settle();
        self.tun.flush();
        Ok(())
    }

    fn timeout(&mut self) -> EpollTimeout {
        if self.table.has_due() {
            return EpollTimeout::ZERO;
        }
        let Some(time) = self.table.next_wake() else {
            return EpollTimeout::NONE;
        };
        let left = time.saturating_duration_since(self.clock.now);
        // Rounded up: too early would be in vain.
        EpollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(EpollTimeout::MAX)
    }

    fn note(&mut self, number: u64, events: EpollFlags) {
        match number {
            TUN => {}
            RESOLVER => {
                if let Some(upstream) = self.resolver.upstream() {
                    upstream.note(events);
                }
            }
            number if number & NOTICE != 0 => {
                self.notices.note((number & !NOTICE) as usize, events);
            }
            number => {
                let key = number as usize;
                let flow = self.table.get_mut(key).map(|entry| &mut entry.flow);
                if let Some(upstream) = flow.and_then(Flow::upstream) {
                    upstream.note(events);
                }
                self.table.mark(key);
            }
        }
    }

    fn take_packets(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.incoming);
        let result = (0..MAX_PACKETS).try_for_each(|_| self.take_packet(&mut buffer));
        self.incoming = buffer;
        match result {
            Err(error)
                if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn take_packet(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let packet = self.tun.receive(buffer)?;
        match Packet::classify(packet) {
            Packet::Tcp { pair, flags } => self.take_segment(packet, &pair, flags),
            Packet::Udp { pair, payload } => self.take_datagram(packet, &pair, payload),
            Packet::Refused => send_unreachable(packet, Unreachable::Prohibited, &mut self.tun),
            Packet::Ignored => {}
        }
        Ok(())
    }

    fn take_segment(&mut self, packet: &[u8], pair: &Pair, flags: Flags) {
        let identity = (Protocol::Tcp, *pair);
        let Some(key) = self.table.find(&identity) else {
            if flags.syn && !flags.ack && !flags.rst {
                self.open_connection(packet, pair);
            } else if !flags.rst {
                refuse_connection(packet, &mut self.tun);
            }
            return;
        };
        let mut around = around!(self);
        match self.table.get_mut(key).map(|entry| &mut entry.flow) {
            Some(Flow::Connection(flow)) => flow.receive(packet, &mut around),
            Some(Flow::Inquiry(flow)) => flow.receive(packet, &mut around),
            _ => {}
        }
        self.table.mark(key);
    }

    fn open_connection(&mut self, packet: &[u8], pair: &Pair) {
        if is_router(pair.destination) {
            return self.open_inquiry(packet, pair);
        }
        let open = |share: &Share, upstream, now| {
            Flow::Connection(Connection::hold(*pair, packet, upstream, share.bytes, now))
        };
        self.open(Protocol::Tcp, packet, pair, open);
    }

    fn open_inquiry(&mut self, packet: &[u8], pair: &Pair) {
        if pair.destination.port() != resolver::PORT {
            return refuse_connection(packet, &mut self.tun);
        }
        let Some(share) = self.budget.promise_wide() else {
            return send_unreachable(packet, Unreachable::Network, &mut self.tun);
        };
        let mut around = around!(self);
        match Inquiry::open(pair, packet, &mut around) {
            Some(flow) => {
                let identity = (Protocol::Tcp, *pair);
                let key = self.table.insert(identity, Flow::Inquiry(flow), share);
                self.table.mark(key);
            }
            None => self.budget.release(share),
        }
    }

    fn take_datagram(&mut self, packet: &[u8], pair: &Pair, payload: Range<usize>) {
        let payload = packet.get(payload).unwrap_or_default();
        if is_router(pair.destination) {
            return self.take_question(packet, pair, payload);
        }
        let identity = (Protocol::Udp, *pair);
        if self.table.find(&identity).is_none() {
            let open = |share: &Share, upstream, now| {
                Flow::Datagrams(Datagrams::new(*pair, upstream, share.bytes, now))
            };
            self.open(Protocol::Udp, packet, pair, open);
        }
        let Some(key) = self.table.find(&identity) else {
            return;
        };
        if let Some(Flow::Datagrams(flow)) = self.table.get_mut(key).map(|entry| &mut entry.flow) {
            flow.receive(packet, payload, &mut self.budget, self.clock.now);
        }
        self.table.mark(key);
    }

    fn take_question(&mut self, packet: &[u8], pair: &Pair, payload: &[u8]) {
        if pair.destination.port() != resolver::PORT {
            return send_unreachable(packet, Unreachable::Port, &mut self.tun);
        }
        let client = Client::Datagram(*pair);
        let reply = self.ask(client, payload);
        self.deliver(reply);
    }

    fn ask(&mut self, client: Client, question: &[u8]) -> Option<Reply> {
        let now = self.clock.now;
        self.resolver
            .ask(client, question, &self.rules, &mut self.notices, now)
    }

    /// Decides about a new flow, and asks the host part for it. What goes nowhere is refused at once.
    fn open(
        &mut self,
        protocol: Protocol,
        packet: &[u8],
        pair: &Pair,
        flow: impl FnOnce(&Share, Upstream, std::time::Instant) -> Flow,
    ) {
        let now = self.clock.now;
        let request = match self.rules.request(protocol, pair.destination, now) {
            Ok(request) => request,
            Err(denied) => {
                deny(packet, &mut self.tun);
                let watch =
                    |stream: &Upstream, key| watch(&self.epoll, stream, NOTICE | key as u64);
                return self.notices.tell(&denied, &self.dial, watch);
            }
        };
        let Some(share) = self.promise(protocol) else {
            return send_unreachable(packet, Unreachable::Network, &mut self.tun);
        };
        let number = self.table.vacant_key() as u64;
        let opened = Upstream::open(&self.dial, &request)
            .and_then(|upstream| watch(&self.epoll, &upstream, number).map(|()| upstream));
        match opened {
            Ok(upstream) => {
                let flow = flow(&share, upstream, now);
                let key = self.table.insert((protocol, *pair), flow, share);
                self.table.mark(key);
            }
            Err(_) => {
                self.budget.release(share);
                send_unreachable(packet, Unreachable::Network, &mut self.tun);
            }
        }
    }

    /// For new datagrams the flow that has been idle longest makes room.
    fn promise(&mut self, protocol: Protocol) -> Option<Share> {
        if protocol == Protocol::Tcp {
            return self.budget.promise();
        }
        if let Some(share) = self.budget.promise_small() {
            return Some(share);
        }
        let idle = self.table.most_idle_datagrams()?;
        self.remove(idle);
        self.budget.promise_small()
    }

    fn remove(&mut self, key: usize) {
        if let Some(entry) = self.table.remove(key) {
            self.budget.release(entry.share);
            entry.flow.leave(&mut self.budget);
        }
    }

    /// Everything whose turn it is.
    fn settle(&mut self) {
        for key in self.table.take_due() {
            self.ask_for(key);
            self.settle_flow(key);
        }
        self.settle_resolver();
    }

    fn settle_flow(&mut self, key: usize) {
        let mut around = around!(self);
        let Some(entry) = self.table.get_mut(key) else {
            return;
        };
        let outcome = match &mut entry.flow {
            Flow::Connection(flow) => flow.settle(&mut around),
            Flow::Datagrams(flow) => flow.settle(&mut around),
            Flow::Inquiry(flow) => flow.settle(&mut around),
        };
        let upstream = entry.flow.upstream();
        let rewatched = upstream.map_or(Ok(()), |it| it.rewatch(&self.epoll, key as u64));
        match rewatched.map_or(Outcome::Over, |()| outcome) {
            Outcome::Waits(time) => self.table.wake_at(key, time),
            Outcome::Continues => self.table.mark(key),
            Outcome::Over => self.remove(key),
        }
    }

    /// Asks the questions that came over a connection.
    fn ask_for(&mut self, key: usize) {
        loop {
            let Some(entry) = self.table.get_mut(key) else {
                return;
            };
            let Flow::Inquiry(flow) = &mut entry.flow else {
                return;
            };
            let Some(question) = flow.next_question() else {
                return;
            };
            let serial = entry.serial;
            let client = Client::Connection { key, serial };
            let reply = self.ask(client, &question);
            self.deliver(reply);
        }
    }

    fn settle_resolver(&mut self) {
        if self.resolver.needs_stream() {
            let connected = self.resolver.connect(&self.dial);
            let watched = connected.and_then(|upstream| watch(&self.epoll, upstream, RESOLVER));
            if watched.is_err() {
                let replies = self.resolver.fail(Unanswered::ServerFailed);
                return self.deliver(replies);
            }
        }
        let now = self.clock.now;
        loop {
            let (scratch, rules) = (&mut self.scratch, &mut self.rules);
            let replies = self.resolver.progress(scratch, rules, now);
            if replies.is_empty() {
                return;
            }
            self.deliver(replies);
        }
    }

    fn deliver(&mut self, replies: impl IntoIterator<Item = Reply>) {
        for Reply { client, message } in replies {
            match client {
                Client::Nobody => {}
                Client::Datagram(pair) => {
                    if let Some(packet) = answer::datagram(&pair, &message) {
                        self.tun.send(&packet);
                    }
                }
                Client::Connection { key, serial } => {
                    let entry = self
                        .table
                        .get_mut(key)
                        .filter(|entry| entry.serial == serial);
                    if let Some(Flow::Inquiry(flow)) = entry.map(|entry| &mut entry.flow) {
                        flow.answer(&message);
                        self.table.mark(key);
                    }
                }
            }
        }
    }
}
