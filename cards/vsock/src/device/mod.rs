//! The vsock device of one enclave (virtio 1.2 section 5.10): the table of its streams and the
//! round of work over the queues, the sockets and the clock. Everything runs on one thread.

mod completions;
mod from_guest;
mod from_host;
mod from_kernel;
mod joining;
mod report;
mod to_guest;
mod to_kernel;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use slab::Slab;

use self::completions::Completions;
use self::to_kernel::Kernel;
use crate::connection::{Connection, End, Key};
use crate::counters::Counters;
use crate::guest_queue::ReceptaclePool;
use crate::host_vsock::HostVsock;
use crate::kernel::Link;
use crate::limits::{BufferBudget, Limits, RateLimiter};
use crate::packet::{HEADER_BYTES, Header, MAX_PAYLOAD_BYTES};
use crate::policy::Policy;
use crate::reactor::{EventFlags, Reactor};
use crate::refusals::{Refusal, Refusals};

use from_guest::key_of;

pub use report::ConnectionReport;
pub use to_guest::Notify;

/// The parent's CIDs that a guest may dial; as on AWS the parent calls from 3.
pub const PARENT_CIDS: [u64; 2] = [2, 3];
const CALLING_PARENT_CID: u64 = 3;

/// How long a peer may take to finish the opening handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may wait for room in a host listener's backlog.
const BACKLOG_TIMEOUT: Duration = Duration::from_secs(2);
const BACKLOG_RETRY: Duration = Duration::from_millis(5);
const HOUSEKEEPING: Duration = Duration::from_millis(250);

const SOCKET_EVENTS: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// What a device is made of.
pub struct DeviceOptions {
    pub guest_cid: u64,
    /// Where the host connects; listeners of port P are at this path with `_P` appended.
    pub uds_path: PathBuf,
    pub listener: UnixListener,
    pub policy: Policy,
    pub limits: Limits,
    /// Whether a parent port without a unix listener is dialled at the host's own `AF_VSOCK`.
    pub host_vsock: bool,
    /// Where the enclave has a CID of the host.
    pub kernel: Option<Link>,
}

/// A slot of the table; its index is the reactor's token.
enum Entry {
    /// A host client that has not said yet which port it wants.
    Caller {
        socket: UnixStream,
        deadline: Instant,
    },
    /// A guest's request that waits for room in a host listener's backlog.
    Dial {
        request: Header,
        deadline: Instant,
    },
    /// A guest's request that waits for the answer of a listener at the host's own `AF_VSOCK`.
    Joining {
        request: Header,
        socket: OwnedFd,
        deadline: Instant,
    },
    Stream(Connection),
}

pub struct Device {
    guest_cid: u64,
    uds_path: PathBuf,
    listener: UnixListener,
    policy: Policy,
    limits: Limits,
    host_vsock: Option<HostVsock>,
    kernel: Option<Kernel>,
    counters: Counters,
    refusals: Refusals,
    entries: Slab<Entry>,
    by_key: HashMap<Key, usize>,
    /// Streams that wait for their turn to send to the guest.
    ready: VecDeque<usize>,
    dials: VecDeque<usize>,
    /// Resets for streams that are not in the table (any more).
    resets: VecDeque<Header>,
    budget: BufferBudget,
    guest_rate: RateLimiter,
    host_rate: RateLimiter,
    last_parent_port: u32,
    housekept: Instant,
    /// Whether a handshake may be going on that the clock has to end.
    has_handshakes: bool,
    completions: Completions,
    pool: ReceptaclePool,
    packet: Vec<u8>,
    scratch: Vec<u8>,
}

impl Device {
    /// Token of the socket that the host connects to.
    pub const LISTENER: u64 = u64::MAX - 16;
    /// Token of the event that the host's kernel calls by.
    pub const KERNEL: u64 = u64::MAX - 18;

    /// # Errors
    /// When the listener cannot be watched.
    pub fn new(options: DeviceOptions, reactor: &Reactor) -> io::Result<Self> {
        options.listener.set_nonblocking(true)?;
        reactor.add(&options.listener, Self::LISTENER, EventFlags::IN)?;
        if let Some(link) = &options.kernel {
            reactor.add(link, Self::KERNEL, EventFlags::IN | EventFlags::ET)?;
        }
        let now = Instant::now();
        Ok(Self {
            guest_cid: options.guest_cid,
            uds_path: options.uds_path,
            listener: options.listener,
            policy: options.policy,
            guest_rate: RateLimiter::new(&options.limits, now),
            host_rate: RateLimiter::new(&options.limits, now),
            limits: options.limits,
            host_vsock: options
                .host_vsock
                .then(|| HostVsock::new(options.guest_cid)),
            kernel: options
                .kernel
                .map(|link| Kernel::new(link, RateLimiter::new(&options.limits, now))),
            counters: Counters::default(),
            refusals: Refusals::default(),
            entries: Slab::new(),
            by_key: HashMap::new(),
            ready: VecDeque::new(),
            dials: VecDeque::new(),
            resets: VecDeque::new(),
            budget: BufferBudget::default(),
            last_parent_port: FIRST_CALLING_PORT,
            housekept: now,
            has_handshakes: false,
            completions: Completions::default(),
            pool: ReceptaclePool::default(),
            packet: vec![0; HEADER_BYTES + MAX_PAYLOAD_BYTES],
            scratch: vec![0; crate::connection::QUANTUM_BYTES],
        })
    }

    /// Replaces the policy; streams that it does not allow are reset.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.refusals.forget();
        let policy = &self.policy;
        let revoked: Vec<_> = self
            .streams()
            .filter(|(_, stream)| !stream.is_orphan() && !report::is_allowed(policy, stream))
            .map(|(token, _)| token)
            .collect();
        for token in revoked {
            self.remove(token, End::Reset);
        }
        self.reset_flows(|policy, key, flow| !report::is_flow_allowed(policy, key, flow));
    }

    /// Refused connections that were not reported to the keeper yet.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        self.refusals.take()
    }

    /// Replaces the limits; they hold for connections opened from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The guest is gone: every stream ends, once the host has taken what is held for it.
    pub fn disconnect_guest(&mut self) {
        let tokens: Vec<_> = self.entries.iter().map(|(token, _)| token).collect();
        for token in tokens {
            match &self.entries[token] {
                Entry::Stream(_) => self.let_go(token),
                Entry::Dial { request, .. } | Entry::Joining { request, .. } => {
                    self.drop_dial(token, key_of(request));
                }
                Entry::Caller { .. } => {}
            }
        }
        self.reset_flows(|_, _, _| true);
        self.resets.clear(); // the guest that they were for is gone
    }

    /// Whether bytes of streams that the guest has let go are still held for the host.
    #[must_use]
    pub fn has_orphans(&self) -> bool {
        self.streams().any(|(_, stream)| stream.is_orphan())
    }

    fn streams(&self) -> impl Iterator<Item = (usize, &Connection)> {
        self.entries
            .iter()
            .filter_map(|(token, entry)| match entry {
                Entry::Stream(stream) => Some((token, stream)),
                _ => None,
            })
    }

    fn stream(&mut self, token: usize) -> Option<&mut Connection> {
        match self.entries.get_mut(token) {
            Some(Entry::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// Acts on whatever has happened to a stream: ends it, or queues and watches it as it needs.
    fn settle(&mut self, token: usize, reactor: &Reactor) {
        let Some(Entry::Stream(stream)) = self.entries.get_mut(token) else {
            return;
        };
        if let Some(end) = stream.end() {
            self.remove(token, end);
            return;
        }
        let is_held_up = stream.is_held_up();
        if is_held_up != stream.is_watched_for_room {
            let room = if is_held_up {
                EventFlags::OUT
            } else {
                EventFlags::empty()
            };
            let _ = reactor.modify(&*stream, token as u64, SOCKET_EVENTS | room);
            stream.is_watched_for_room = is_held_up;
        }
        if !stream.is_queued && !stream.is_orphan() && stream.wants_turn() {
            stream.is_queued = true;
            self.ready.push_back(token);
        }
    }

    /// Takes a stream out of the table; its socket closes.
    fn remove(&mut self, token: usize, end: End) {
        let Some(Entry::Stream(stream)) = self.entries.try_remove(token) else {
            return;
        };
        self.budget.release(stream.credit.window());
        if !stream.is_orphan() {
            self.by_key.remove(&stream.key);
        }
        if stream.is_queued {
            self.ready.retain(|waiting| *waiting != token);
        }
        if end == End::Reset {
            self.reset(stream.key);
        }
    }

    /// The guest has forgotten a stream: it stays only until the host has taken what is held.
    fn let_go(&mut self, token: usize) {
        let Some(stream) = self.stream(token) else {
            return;
        };
        let key = stream.key;
        stream.orphan();
        let end = stream.end();
        self.by_key.remove(&key);
        if end.is_some() {
            self.remove(token, End::Quiet);
        }
    }
}

/// Ports the host calls from start here, out of the way of ports that programs choose.
const FIRST_CALLING_PORT: u32 = 1 << 30;
