//! Packets from the guest. Whatever they hold, the worst a packet can do is to end its own stream.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
};
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::GuestMemoryMmap;

use super::{BACKLOG_TIMEOUT, Device, Entry, PARENT_CIDS, SOCKET_EVENTS};
use crate::connection::{Connection, Direction, End, Key, Phase};
use crate::guest_queue::gather;
use crate::packet::{Header, Operation, Shutdown, TYPE_STREAM, parse_packet};
use crate::reactor::Reactor;
use crate::refusals::{Dialler, Reason, Refusal};

/// Resets that may wait for the guest to post buffers.
const MAX_RESETS: usize = 4096;

impl Device {
    /// Takes the packets the driver has made available, at most a queue's worth; whether there were
    /// any.
    pub(super) fn take_packets(
        &mut self,
        memory: &GuestMemoryMmap,
        queue: &mut Queue,
        reactor: &Reactor,
    ) -> bool {
        let mut packet = std::mem::take(&mut self.packet);
        let mut has_taken = false;
        for _ in 0..queue.size() {
            if !self.may_take_packet() {
                break;
            }
            let Some(chain) = queue.iter(memory).ok().and_then(|mut it| it.next()) else {
                break;
            };
            has_taken = true;
            let head = chain.head_index();
            let gathered = gather(memory, chain, &mut packet);
            match gathered {
                Ok(bytes) => self.on_bytes(&packet[..bytes], reactor),
                Err(_) => self.counters.malformed += 1,
            }
            self.completions.add(gathered.unwrap_or_default());
            // A head outside the table cannot be returned; the driver has lost it.
            let _ = queue.add_used(memory, head, 0);
        }
        self.packet = packet;
        has_taken
    }

    fn on_bytes(&mut self, bytes: &[u8], reactor: &Reactor) {
        self.counters.packets_from_guest += 1;
        match parse_packet(bytes) {
            Ok((header, payload)) => self.on_packet(&header, payload, reactor),
            Err(_) => self.counters.malformed += 1,
        }
    }

    fn on_packet(&mut self, header: &Header, payload: &[u8], reactor: &Reactor) {
        if header.src_cid != self.guest_cid {
            self.counters.violations += 1; // nobody to answer
            return;
        }
        let key = key_of(header);
        if self.is_flow(&key) {
            self.on_flow_packet(key, header, payload);
            return;
        }
        let operation = Operation::from_wire(header.operation)
            .filter(|_| header.kind == TYPE_STREAM && PARENT_CIDS.contains(&header.dst_cid));
        let token = self.by_key.get(&key).copied();
        match (operation, token) {
            (Some(Operation::Request), None) => self.on_request(header, reactor),
            (Some(operation), Some(token)) => {
                self.on_stream_packet(token, operation, header, payload, reactor);
            }
            (Some(Operation::Reset), None) => {}
            (Some(_), None) => self.reset(key), // of a stream that has ended
            (None, _) => self.refuse_violation(key, header, token),
        }
    }

    /// A socket type, a CID or an operation that the device does not serve.
    fn refuse_violation(&mut self, key: Key, header: &Header, token: Option<usize>) {
        self.counters.violations += 1;
        match token {
            Some(token) => self.remove(token, End::Reset),
            None if header.operation == Operation::Reset as u16 => {}
            None => self.reset_as(key, header.kind),
        }
    }

    fn on_stream_packet(
        &mut self,
        token: usize,
        operation: Operation,
        header: &Header,
        payload: &[u8],
        reactor: &Reactor,
    ) {
        let Some(stream) = self.stream(token) else {
            // A request waits for its listener, and the guest can only give it up.
            self.drop_dial(token, key_of(header));
            return;
        };
        stream.credit.learn(header.buf_alloc, header.fwd_cnt);
        let is_open = !matches!(stream.phase, Phase::Requesting | Phase::Requested);
        let is_legal = match operation {
            Operation::Reset => {
                let is_refusal = !is_open;
                self.counters.refused_without_listener += u64::from(is_refusal);
                self.let_go(token);
                return;
            }
            Operation::Response => {
                let is_awaited = stream.phase == Phase::Requested;
                if is_awaited {
                    stream.establish();
                }
                is_awaited
            }
            Operation::ReadWrite => {
                let before = stream.bytes_to_host;
                let is_legal = is_open && stream.receive(payload).is_ok();
                self.counters.bytes_to_host += stream.bytes_to_host - before;
                is_legal
            }
            Operation::Shutdown => {
                if is_open {
                    stream.close_by_guest(Shutdown::from_wire(header.flags));
                }
                is_open
            }
            Operation::CreditRequest => {
                stream.owes_credit = true;
                is_open
            }
            Operation::CreditUpdate => true,
            Operation::Request => false, // the stream exists already
        };
        if is_legal {
            self.settle(token, reactor);
        } else {
            self.counters.violations += 1;
            self.remove(token, End::Reset);
        }
    }

    fn on_request(&mut self, request: &Header, reactor: &Reactor) {
        let key = key_of(request);
        let now = Instant::now();
        if !self.policy.open().parent_ports.contains(key.parent_port) {
            self.counters.refused_by_policy += 1;
            self.refuse_dial(key, Reason::Closed);
        } else if self.connection_count() >= self.limits.connections
            || !self.guest_rate.take(&self.limits, now)
        {
            self.counters.refused_by_limit += 1;
            self.reset(key);
        } else {
            self.dial(request, reactor);
        }
    }

    /// Connects to the host's listener; one whose backlog is full is tried again for a while.
    fn dial(&mut self, request: &Header, reactor: &Reactor) {
        let key = key_of(request);
        match self.connect_listener(&key) {
            Ok(socket) => self.accept(request, socket.into(), reactor),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let deadline = Instant::now() + BACKLOG_TIMEOUT;
                let token = self.entries.insert(Entry::Dial {
                    request: *request,
                    deadline,
                });
                self.by_key.insert(key, token);
                self.dials.push_back(token);
            }
            Err(error) if self.may_ask_kernel(&error, key.parent_port) => self.ask_kernel(request),
            Err(error) if self.may_join(&error, key.parent_port) => self.join(request, reactor),
            Err(error) => {
                self.counters.refused_without_listener += 1;
                self.refuse_dial(key, reason_of(&error));
            }
        }
    }

    /// Refuses a stream, and lets the keeper know which port it was for.
    pub(super) fn refuse_dial(&mut self, key: Key, reason: Reason) {
        self.refusals.note(Refusal {
            dialled_by: Dialler::Guest,
            port: key.parent_port,
            reason,
        });
        self.reset(key);
    }

    /// Tries once more to reach the listeners whose backlogs were full.
    pub(super) fn retry_dials(&mut self, now: Instant, reactor: &Reactor) {
        for _ in 0..self.dials.len() {
            let Some(token) = self.dials.pop_front() else {
                return;
            };
            let Some(Entry::Dial { request, deadline }) = self.entries.get(token) else {
                continue; // given up by the guest
            };
            let (request, deadline) = (*request, *deadline);
            let key = key_of(&request);
            match self.connect_listener(&key) {
                Ok(socket) => {
                    self.drop_dial(token, key);
                    self.accept(&request, socket.into(), reactor);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && now < deadline => {
                    self.dials.push_back(token);
                }
                Err(error) if self.may_ask_kernel(&error, key.parent_port) => {
                    self.drop_dial(token, key);
                    self.ask_kernel(&request);
                }
                Err(_) => {
                    self.drop_dial(token, key);
                    self.counters.refused_without_listener += 1;
                    self.reset(key);
                }
            }
        }
    }

    pub(super) fn drop_dial(&mut self, token: usize, key: Key) {
        if matches!(
            self.entries.get(token),
            Some(Entry::Dial { .. } | Entry::Joining { .. })
        ) {
            self.entries.remove(token);
            self.by_key.remove(&key);
            self.dials.retain(|waiting| *waiting != token);
        }
    }

    pub(super) fn accept(&mut self, request: &Header, socket: OwnedFd, reactor: &Reactor) {
        let key = key_of(request);
        let opened = self.open(key, Direction::FromGuest, socket, reactor);
        if let Some(token) = opened {
            self.counters.opened_by_guest += 1;
            if let Some(stream) = self.stream(token) {
                stream.credit.learn(request.buf_alloc, request.fwd_cnt);
            }
            self.settle(token, reactor);
        } else {
            self.counters.refused_by_limit += 1;
            self.reset(key);
        }
    }

    /// Enters a stream into the table, if there is buffer space left to promise.
    pub(super) fn open(
        &mut self,
        key: Key,
        direction: Direction,
        socket: OwnedFd,
        reactor: &Reactor,
    ) -> Option<usize> {
        let window = self.budget.promise(&self.limits)?;
        let stream = Connection::new(key, direction, socket, window);
        let slot = self.entries.vacant_entry();
        let token = slot.key();
        if reactor.add(&stream, token as u64, SOCKET_EVENTS).is_err() {
            self.budget.release(window);
            return None;
        }
        slot.insert(Entry::Stream(stream));
        self.by_key.insert(key, token);
        Some(token)
    }

    /// Queues a reset for a stream that the table does not hold.
    pub(super) fn reset(&mut self, key: Key) {
        self.reset_as(key, TYPE_STREAM);
    }

    pub(super) fn reset_as(&mut self, key: Key, kind: u16) {
        if self.resets.len() >= MAX_RESETS {
            self.counters.dropped_resets += 1;
            return;
        }
        self.resets.push_back(Header {
            src_cid: key.parent_cid,
            src_port: key.parent_port,
            dst_port: key.guest_port,
            kind,
            operation: Operation::Reset as u16,
            ..Header::default()
        });
    }

    fn connect_listener(&self, key: &Key) -> io::Result<UnixStream> {
        let Key {
            guest_port,
            parent_cid,
            parent_port,
        } = key;
        let name = format!(
            "vsock:{}:{guest_port}:{parent_cid}:{parent_port}",
            self.guest_cid
        );
        connect_to(self.listener_path(*parent_port), &name)
    }

    fn listener_path(&self, port: u32) -> PathBuf {
        let mut path = self.uds_path.clone().into_os_string();
        path.push(format!("_{port}"));
        path.into()
    }
}

fn reason_of(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Reason::Denied,
        _ => Reason::Unserved,
    }
}

pub(super) fn key_of(header: &Header) -> Key {
    Key {
        parent_cid: header.dst_cid,
        parent_port: header.dst_port,
        guest_port: header.src_port,
    }
}

/// A non-blocking connection, at once or not at all: std's would wait for a full backlog. The listener
/// finds `name`, in the abstract namespace, as its peer's address.
fn connect_to(path: PathBuf, name: &str) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Where the name is taken, by somebody else in the host's network, it goes without.
    let _ = bind(
        &socket,
        &SocketAddrUnix::new_abstract_name(name.as_bytes())?,
    );
    let address = SocketAddrUnix::new(path)?;
    loop {
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket.into()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
