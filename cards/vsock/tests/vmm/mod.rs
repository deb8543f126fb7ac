//! A VMM that may say anything: vhost-user messages by hand (QEMU's docs/interop/vhost-user.rst).

pub mod process;

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use cloister_vsock::packet::{HEADER_BYTES, Header, Operation};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use process::PATIENCE;

pub const GET_FEATURES: u32 = 1;
pub const SET_FEATURES: u32 = 2;
pub const SET_OWNER: u32 = 3;
pub const SET_MEM_TABLE: u32 = 5;
pub const SET_VRING_NUM: u32 = 8;
pub const SET_VRING_ADDR: u32 = 9;
pub const SET_VRING_BASE: u32 = 10;
pub const SET_VRING_KICK: u32 = 12;
pub const SET_VRING_CALL: u32 = 13;
pub const SET_VRING_ERR: u32 = 14;
pub const SET_PROTOCOL_FEATURES: u32 = 16;
pub const SET_VRING_ENABLE: u32 = 18;
pub const GET_CONFIG: u32 = 24;
pub const SET_CONFIG: u32 = 25;

pub const VERSION: u32 = 1;
const PROTOCOL_FEATURES: u64 = 1 << 30;
const VIRTIO_1: u64 = 1 << 32;
const MQ_AND_CONFIG: u64 = 1 | 1 << 9;

pub const MEMORY_BYTES: u64 = 1 << 20;
/// Where the VMM claims to have mapped guest memory.
pub const VMM_BASE: u64 = 0x7f00_0000_0000;
const QUEUE_SIZE: u32 = 16;
const PACKET: u64 = 0x1_0000;
const BUFFER: u64 = 0x2_0000;

/// Addresses of a queue's table, available and used ring; the queues lie 64 KiB apart.
fn ring(queue: u32) -> [u64; 3] {
    let base = 0x4_0000 + 0x1_0000 * u64::from(queue);
    [base, base + 0x1000, base + 0x2000]
}

pub struct Vmm {
    pub stream: UnixStream,
    pub memory: File,
    pub kicks: Vec<OwnedFd>,
    pub calls: Vec<OwnedFd>,
}

impl Vmm {
    pub fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let memory = File::from(memfd_create("memory", MemfdFlags::CLOEXEC).unwrap());
        memory.set_len(MEMORY_BYTES).unwrap();
        let events = || (0..2).map(|_| event()).collect();
        Self {
            stream,
            memory,
            kicks: events(),
            calls: events(),
        }
    }

    /// Sends bytes as they are, with descriptors; false when the card has hung up.
    pub fn send_raw(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)));
        }
        let parts = [IoSlice::new(bytes)];
        sendmsg(&self.stream, &parts, &mut ancillary, SendFlags::NOSIGNAL).is_ok()
    }

    pub fn send(&self, code: u32, body: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
        self.send_raw(&message(code, VERSION, body), fds)
    }

    /// The body of the next reply; nothing when the card has hung up.
    pub fn reply(&self) -> Option<Vec<u8>> {
        let mut header = [0; 12];
        (&self.stream).read_exact(&mut header).ok()?;
        let mut body = vec![0; u32::from_le_bytes(header[8..].try_into().unwrap()) as usize];
        (&self.stream).read_exact(&mut body).ok()?;
        Some(body)
    }

    /// Returns when the card has acted on all that was sent.
    pub fn wait_until_heard(&self) {
        assert!(self.send(GET_FEATURES, &[], &[]));
        self.reply().expect("features");
    }

    /// Whether the card has hung up on us, without a word.
    pub fn is_refused(&self) -> bool {
        matches!((&self.stream).read(&mut [0]), Ok(0))
    }

    /// The messages of an honest start, in their order; each is sent by itself.
    pub fn handshake(&self) -> Vec<Step<'_>> {
        let mut steps = vec![
            Step::new(SET_OWNER, vec![], vec![]),
            Step::new(SET_FEATURES, words(&[PROTOCOL_FEATURES | VIRTIO_1]), vec![]),
            Step::new(SET_PROTOCOL_FEATURES, words(&[MQ_AND_CONFIG]), vec![]),
            Step::new(
                SET_MEM_TABLE,
                self.memory_table(),
                vec![self.memory.as_fd()],
            ),
        ];
        for queue in 0..2 {
            let index = u64::from(queue);
            let kick = self.kicks[queue as usize].as_fd();
            let call = self.calls[queue as usize].as_fd();
            steps.extend([
                Step::new(SET_VRING_NUM, vring_state(queue, QUEUE_SIZE), vec![]),
                Step::new(SET_VRING_BASE, vring_state(queue, 0), vec![]),
                Step::new(
                    SET_VRING_ADDR,
                    vring_addresses(queue, VMM_BASE, ring(queue)),
                    vec![],
                ),
                Step::new(SET_VRING_CALL, words(&[index]), vec![call]),
                Step::new(SET_VRING_KICK, words(&[index]), vec![kick]),
                Step::new(SET_VRING_ENABLE, vring_state(queue, 1), vec![]),
            ]);
        }
        steps
    }

    pub fn start(&self) {
        for step in self.handshake() {
            assert!(self.send(step.code, &step.body, &step.fds));
        }
    }

    fn memory_table(&self) -> Vec<u8> {
        memory_table(&[[0, MEMORY_BYTES, VMM_BASE, 0]])
    }

    /// The guest posts a buffer and dials a port; returns the operation that it is answered with.
    pub fn dial(&self, port: u32) -> Option<u16> {
        self.offer(0, [BUFFER, 4096, 2]);
        let request = Header {
            src_cid: 16,
            dst_cid: 3,
            src_port: 1000,
            dst_port: port,
            kind: 1,
            operation: Operation::Request as u16,
            buf_alloc: 1 << 16,
            ..Header::default()
        };
        self.memory.write_all_at(&request.encode(), PACKET).unwrap();
        self.offer(1, [PACKET, HEADER_BYTES as u64, 0]);
        self.kick(1);
        self.await_call(0).then(|| {
            let mut bytes = [0; HEADER_BYTES];
            self.memory.read_exact_at(&mut bytes, BUFFER).unwrap();
            Header::decode(&bytes).operation
        })
    }

    /// Makes one descriptor (address, length, flags) available as a queue's first.
    fn offer(&self, queue: u32, [address, len, flags]: [u64; 3]) {
        let [table, available, _] = ring(queue);
        self.memory
            .write_all_at(&words(&[address, len | flags << 32]), table)
            .unwrap();
        self.memory
            .write_all_at(&[0, 0, 1, 0, 0, 0], available)
            .unwrap();
    }

    pub fn kick(&self, queue: usize) {
        let _ = rustix::io::write(&self.kicks[queue], &1_u64.to_ne_bytes());
    }

    fn await_call(&self, queue: usize) -> bool {
        let call = &self.calls[queue];
        let mut polled = [rustix::event::PollFd::new(
            call,
            rustix::event::PollFlags::IN,
        )];
        let patience = PATIENCE.try_into().unwrap();
        rustix::event::poll(&mut polled, Some(&patience)).unwrap() == 1
    }
}

pub struct Step<'a> {
    pub code: u32,
    pub body: Vec<u8>,
    pub fds: Vec<BorrowedFd<'a>>,
}

impl<'a> Step<'a> {
    fn new(code: u32, body: Vec<u8>, fds: Vec<BorrowedFd<'a>>) -> Self {
        Self { code, body, fds }
    }
}

pub fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC).unwrap()
}

pub fn message(code: u32, flags: u32, body: &[u8]) -> Vec<u8> {
    let header = [code, flags, body.len() as u32].map(u32::to_le_bytes);
    [header.concat().as_slice(), body].concat()
}

pub fn words(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

pub fn vring_state(queue: u32, number: u32) -> Vec<u8> {
    words(&[u64::from(queue) | u64::from(number) << 32])
}

/// Guest address, size, VMM address and file offset of each region.
pub fn memory_table(regions: &[[u64; 4]]) -> Vec<u8> {
    let table: Vec<u64> = regions.iter().flatten().copied().collect();
    [words(&[regions.len() as u64]), words(&table)].concat()
}

pub fn vring_addresses(queue: u32, base: u64, [table, available, used]: [u64; 3]) -> Vec<u8> {
    words(&[
        u64::from(queue),
        base + table,
        base + used,
        base + available,
        0,
    ])
}

/// Writes to a VMM's socket what is no message at all.
pub fn babble(mut stream: &UnixStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}
