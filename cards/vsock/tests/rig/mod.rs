//! The device with a hand-made driver on one side and a listener of the host on the other.
#![allow(dead_code)] // each test file uses a part

mod driver;
mod host_kernel;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use cloister_vsock::device::{Device, DeviceOptions, Notify};
use cloister_vsock::kernel::Link;
use cloister_vsock::limits::Limits;
use cloister_vsock::packet::{Header, Operation};
use cloister_vsock::policy::{Policy, PortSet, Ports};
use cloister_vsock::reactor::{Event, Reactor};
use virtio_queue::Queue;

use driver::Driver;
pub use host_kernel::HostKernel;

const LISTENER_PORT: u32 = 7000;
static RIGS: AtomicU32 = AtomicU32::new(0);

pub struct Rig {
    pub device: Device,
    pub driver: Driver,
    reactor: Reactor,
    pub receive: Queue,
    pub transmit: Queue,
    host: UnixListener,
    directory: PathBuf,
    fresh_port: u32,
}

impl Rig {
    pub fn new() -> Self {
        let mut rig = Self::without_receive_buffers();
        rig.driver.post_buffers();
        rig
    }

    /// With a kernel beside the unix sockets.
    pub fn with_kernel() -> (Self, HostKernel) {
        let link = Link::new().unwrap();
        let kernel = HostKernel::new(&link);
        let mut rig = Self::build(Some(link), Policy::default());
        rig.driver.post_buffers();
        rig.open_all_ports();
        (rig, kernel)
    }

    pub fn without_receive_buffers() -> Self {
        let mut rig = Self::build(None, Policy::default());
        rig.open_all_ports();
        rig
    }

    pub fn open_all_ports(&mut self) {
        let all: PortSet = "all".parse().unwrap();
        let ports = Ports {
            parent_ports: all.clone(),
            guest_ports: all,
        };
        self.device
            .set_policy(Policy::default().with_open(&ports).unwrap());
    }

    fn build(kernel: Option<Link>, policy: Policy) -> Self {
        let number = RIGS.fetch_add(1, Ordering::Relaxed);
        let name = format!("vsock-hostile-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        let uds_path = directory.join("v");
        let host = UnixListener::bind(directory.join(format!("v_{LISTENER_PORT}"))).unwrap();
        host.set_nonblocking(true).unwrap();
        let reactor = Reactor::new().unwrap();
        let options = DeviceOptions {
            guest_cid: 16,
            listener: UnixListener::bind(&uds_path).unwrap(),
            uds_path,
            policy,
            host_vsock: false,
            kernel,
            limits: Limits {
                connections: 16,
                connections_per_second: 1_000_000,
                ..Limits::default()
            },
        };
        let driver = Driver::new();
        let (receive, transmit) = driver.queues();
        Self {
            device: Device::new(options, &reactor).unwrap(),
            driver,
            reactor,
            receive,
            transmit,
            host,
            directory,
            fresh_port: 50_000,
        }
    }

    /// A listener at another port of the parent with room for one client, which has come already.
    pub fn listen_full(&self, port: u32) -> (UnixListener, UnixStream) {
        let path = self.directory.join(format!("v_{port}"));
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        (listener, UnixStream::connect(path).unwrap())
    }

    /// The VMM goes, and the next one comes with a guest of its own.
    pub fn replace_vmm(&mut self) {
        self.device.disconnect_guest();
        self.device.forget_queue();
        self.driver = Driver::new();
        (self.receive, self.transmit) = self.driver.queues();
        self.driver.post_buffers();
    }

    /// One round; whether another one is due at once.
    pub fn serve_once(&mut self) -> bool {
        self.round().is_busy
    }

    /// One round; what the driver is told.
    pub fn round(&mut self) -> Notify {
        let memory = self.driver.memory;
        self.device
            .serve(memory, &mut self.receive, &mut self.transmit, &self.reactor)
    }

    /// Whether the device may rest, having asked the driver to say when it adds packets.
    pub fn may_rest(&mut self) -> bool {
        self.device.may_rest(self.driver.memory, &mut self.transmit)
    }

    /// Lets the clock tick.
    pub fn tick(&mut self) {
        self.device.on_timer(&self.reactor);
    }

    /// What turned ready is noticed, and nothing done about it yet.
    pub fn notice(&mut self) {
        let mut events = Vec::new();
        self.reactor.poll(&mut events);
        for event in &events {
            if let Event::Descriptor { token, flags } = *event {
                self.device.on_socket(token as usize, flags, &self.reactor);
            }
        }
    }

    /// Rounds until nothing is left to do; a device that never gets there fails.
    pub fn serve(&mut self) {
        let mut events = Vec::new();
        for _ in 0..1000 {
            self.reactor.poll(&mut events);
            for event in &events {
                if let Event::Descriptor { token, flags } = *event {
                    self.device.on_socket(token as usize, flags, &self.reactor);
                }
            }
            if !self.serve_once() && events.is_empty() && self.may_rest() {
                return;
            }
        }
        panic!("the device spins");
    }

    /// Opens a stream from a port of the guest; the host's end.
    pub fn open(&mut self, guest_port: u32) -> UnixStream {
        self.open_with(Header {
            src_port: guest_port,
            buf_alloc: 1 << 20,
            ..self.header(Operation::Request, guest_port)
        })
    }

    pub fn open_with(&mut self, request: Header) -> UnixStream {
        while self.host.accept().is_ok() {}
        self.driver.send(&request.encode());
        self.serve();
        let (stream, _) = self.host.accept().expect("a connection");
        stream.set_nonblocking(true).unwrap();
        stream
    }

    /// Whether bytes on a fresh stream come through both ways.
    pub fn echoes(&mut self, bytes: &[u8]) -> bool {
        self.fresh_port += 1;
        let stream = self.open(self.fresh_port);
        self.echoes_on(&stream, self.fresh_port, bytes)
    }

    pub fn echoes_on(&mut self, stream: &UnixStream, guest_port: u32, bytes: &[u8]) -> bool {
        let data = Header {
            len: bytes.len() as u32,
            ..self.header(Operation::ReadWrite, guest_port)
        };
        self.driver.send(&packet(&data, bytes));
        self.serve();
        let reached_host = self.read(stream, bytes.len()) == bytes;
        self.write(stream, bytes);
        self.serve();
        let received = self.driver.received();
        reached_host
            && received.iter().any(|(header, payload)| {
                header.operation == Operation::ReadWrite as u16
                    && header.dst_port == guest_port
                    && payload == bytes
            })
    }

    pub fn read(&mut self, mut stream: &UnixStream, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        stream.read_exact(&mut read).expect("bytes at the host");
        read
    }

    /// Writes as much as the socket takes.
    pub fn write(&mut self, mut stream: &UnixStream, bytes: &[u8]) {
        match stream.write_all(bytes) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
            _ => {}
        }
    }

    fn header(&self, operation: Operation, guest_port: u32) -> Header {
        Header {
            src_cid: 16,
            dst_cid: 3,
            src_port: guest_port,
            dst_port: LISTENER_PORT,
            kind: 1,
            operation: operation as u16,
            buf_alloc: 1 << 20,
            ..Header::default()
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A packet's bytes.
pub fn packet(header: &Header, payload: &[u8]) -> Vec<u8> {
    [header.encode().as_slice(), payload].concat()
}
