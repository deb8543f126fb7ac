//! The card as vhost-user-backend runs it, on the fuzzer's own thread.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use cloister_vsock::backend::{Card, REACTOR_EVENT};
use cloister_vsock::channel::Channel;
use cloister_vsock::device::{Device, DeviceOptions};
use cloister_vsock::limits::Limits;
use cloister_vsock::packet::{Header, Operation};
use cloister_vsock::policy::{Policy, Ports};
use cloister_vsock::reactor::Reactor;
use serde_json::{Value, json};
use vhost_user_backend::VhostUserBackendMut;
use vmm_sys_util::epoll::EventSet;

use crate::driver::Driver;
use crate::host::{FULL_PORT, Host, PLACE, SERVED_PORT, clear_backlog};

pub const GUEST_CID: u64 = 16;
const MAX_CONNECTIONS: u64 = 255;
const MAX_BUFFER_BYTES: u64 = u32::MAX as u64;
/// More rounds than any card needs to come to rest.
const MAX_ROUNDS: usize = 1000;

pub struct CardUnderTest {
    pub driver: Driver,
    pub host: Host,
    card: Card,
    keeper: UnixStream,
}

impl CardUnderTest {
    pub fn new() -> Self {
        clear_backlog();
        let reactor = Reactor::new().expect("an epoll set");
        let options = DeviceOptions {
            guest_cid: GUEST_CID,
            uds_path: PLACE.uds_path.clone(),
            listener: PLACE.listener.try_clone().expect("a listener"),
            policy: Policy::default()
                .with_open(&Ports {
                    parent_ports: "all".parse().expect("ports"),
                    guest_ports: "all".parse().expect("ports"),
                })
                .expect("a policy"),
            host_vsock: false,
            kernel: None,
            limits: Limits {
                connections: 8,
                ..Limits::default()
            },
        };
        let device = Device::new(options, &reactor).expect("a device");
        let (keeper, end) = UnixStream::pair().expect("a socket pair");
        let channel = Channel::new(end, &reactor).expect("a channel");
        keeper.set_nonblocking(true).expect("non-blocking");
        let mut card = Card::new(device, reactor, Some(channel), || {
            panic!("the keeper is here")
        });
        card.update_memory(Driver::memory()).expect("memory");
        Self {
            driver: Driver::new(),
            host: Host::default(),
            card,
            keeper,
        }
    }

    /// The VMM rings a queue's doorbell.
    pub fn ring(&mut self, queue: u16) {
        self.work(queue);
    }

    /// The card looks at its sockets, its channel and its clock.
    pub fn poll(&mut self) {
        self.work(REACTOR_EVENT);
    }

    fn work(&mut self, event: u16) {
        let vrings = &self.driver.vrings;
        let outcome = self.card.handle_event(event, EventSet::IN, vrings, 0);
        outcome.expect("work is done whatever the guest does");
    }

    /// The VMM goes and another comes, with a guest that has not run yet.
    pub fn replace_vmm(&mut self) {
        self.card.disconnect_vmm();
        self.driver = Driver::new();
        let memory = self.card.update_memory(Driver::memory());
        memory.expect("memory");
    }

    /// Closes everything, then opens these.
    pub fn set_ports(&mut self, parent_ports: &str, guest_ports: &str) {
        self.ask(&json!({ "request": "closePorts", "parentPorts": "all", "guestPorts": "all" }));
        self.ask(&json!({
            "request": "openPorts",
            "parentPorts": parent_ports,
            "guestPorts": guest_ports,
        }));
    }

    pub fn set_limits(&mut self, connections: u64, per_second: u32, buffer_bytes: u64) {
        let limits = json!({
            "connections": connections,
            "connectionsPerSecond": per_second,
            "bufferBytes": buffer_bytes,
        });
        self.ask(&json!({ "request": "setLimits", "limits": limits }));
    }

    /// The keeper's request; returns the card's answer.
    pub fn ask(&mut self, request: &Value) -> Value {
        (&self.keeper)
            .write_all(format!("{request}\n").as_bytes())
            .expect("room for a request");
        let mut said = Vec::new();
        for _ in 0..MAX_ROUNDS {
            self.poll();
            match (&self.keeper).read_to_end(&mut said) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("the card closed the channel: {other:?}"),
            }
            if let Some(answer) = answer_in(&said) {
                return answer.get("result").expect("a result").clone();
            }
        }
        panic!("no answer to {request}")
    }

    fn status(&mut self) -> Value {
        self.ask(&json!({ "request": "status" }))
    }

    pub fn check_bounds(&mut self) {
        let status = self.status();
        let number = |name: &str| status[name].as_u64().expect("a number");
        assert!(number("connections") <= MAX_CONNECTIONS);
        assert!(number("bufferedBytes") <= MAX_BUFFER_BYTES);
    }

    /// Everybody but the card goes, and an honest VMM comes.
    pub fn replace_everything(&mut self) {
        self.host.close_all();
        self.replace_vmm();
        self.set_ports("all", "all");
        self.set_limits(MAX_CONNECTIONS, u32::MAX, Limits::default().buffer_bytes);
        for _ in 0..16 {
            self.driver.post_buffer();
        }
    }

    /// Nothing of the last guest and its peers is left.
    pub fn check_empty(&mut self) {
        for _ in 0..MAX_ROUNDS {
            self.poll();
            self.host.close_all();
            if self.status()["connections"] == 0 {
                return;
            }
        }
        panic!(
            "left behind: {}",
            self.ask(&json!({ "request": "connections" }))
        );
    }

    /// The next guest reaches the host, and the host reaches it.
    pub fn check_service(&mut self) {
        self.check_requests_are_new();
        self.driver
            .send(&guest_header(Operation::Request, SERVED_PORT, 1005), &[]);
        self.ring(1);
        assert!(self.host.accept(), "the guest's request");
        assert_eq!(self.packet(1005).0.operation, Operation::Response as u16);
        self.check_echo(SERVED_PORT, 1005);
        self.host.dial(b"CONNECT 1006\n");
        let (request, _) = self.packet(1006);
        assert_eq!(request.operation, Operation::Request as u16);
        let response = guest_header(Operation::Response, request.src_port, 1006);
        self.driver.send(&response, &[]);
        self.ring(1);
        let expected = format!("OK {}\n", request.src_port).into_bytes();
        assert_eq!(self.host.read(usize::MAX, 100), expected);
        self.check_echo(request.src_port, 1006);
    }

    /// No port is taken: a request for a full backlog waits, and none is mistaken for an old one.
    fn check_requests_are_new(&mut self) {
        for guest_port in 0..4 {
            let request = guest_header(Operation::Request, FULL_PORT, guest_port);
            self.driver.send(&request, &[]);
        }
        self.ring(1);
        assert_eq!(self.status()["connections"], 4);
    }

    fn check_echo(&mut self, parent_port: u32, guest_port: u32) {
        let header = guest_header(Operation::ReadWrite, parent_port, guest_port);
        self.driver.send(&Header { len: 5, ..header }, b"there");
        self.ring(1);
        assert_eq!(self.host.read(usize::MAX, 100), b"there");
        self.host.write(usize::MAX, b"back");
        let (header, payload) = self.packet(guest_port);
        assert_eq!(header.src_port, parent_port);
        assert_eq!(payload, b"back");
    }

    /// The next packet for a port of the guest.
    fn packet(&mut self, guest_port: u32) -> (Header, Vec<u8>) {
        for _ in 0..MAX_ROUNDS {
            let mut packets = self.driver.received().into_iter();
            if let Some(found) = packets.find(|(header, _)| header.dst_port == guest_port) {
                return found;
            }
            self.poll();
        }
        panic!("nothing came for port {guest_port}")
    }
}

/// The answer among whole lines, which may also be events.
fn answer_in(text: &[u8]) -> Option<Value> {
    let text = text.strip_suffix(b"\n")?;
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice::<Value>(line).expect("JSON"));
    lines.find(|message| message.get("event").is_none())
}

fn guest_header(operation: Operation, parent_port: u32, guest_port: u32) -> Header {
    Header {
        src_cid: GUEST_CID,
        dst_cid: 3,
        src_port: guest_port,
        dst_port: parent_port,
        kind: 1,
        operation: operation as u16,
        buf_alloc: 1 << 20,
        ..Header::default()
    }
}
