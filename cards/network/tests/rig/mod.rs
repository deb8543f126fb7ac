//! A card as it runs: a process in its sandbox, a keeper at its channel, a guest at its socket.
#![allow(dead_code)] // each test file uses a part

pub mod names;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cloister_egress_policy::wire::{Request, Status};
use cloister_egress_policy::{Name, Protocol};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Anything that should be there at once is awaited for this long before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Card {
    child: Child,
    keeper: Option<BufReader<UnixStream>>,
    directory: TempDir,
    pub ready: Value,
}

/// Everything on the host's loopback.
pub fn loopback() -> Value {
    json!({ "allow": [{ "cidr": "127.0.0.0/8", "private": true }] })
}

impl Card {
    /// One with this policy in its image, without the operator's, and without resolvers.
    pub fn start(image: Value) -> Self {
        Self::start_with(json!({ "image": image, "resolvers": [], "maxFlows": 2032 }))
    }

    pub fn start_with(setup: Value) -> Self {
        Self::start_in(TempDir::new().unwrap(), setup)
    }

    /// One that a directory is made for before.
    pub fn start_in(directory: TempDir, setup: Value) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_cloister-network"));
        Self::start_as(program, directory, setup)
    }

    /// One on a host that gives nobody a user namespace.
    pub fn start_without_namespaces(directory: TempDir, setup: Value) -> Self {
        let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
        let mut program = Command::new("unshare");
        program.args([
            "-Ur",
            "sh",
            "-c",
            script,
            env!("CARGO_BIN_EXE_cloister-network"),
        ]);
        Self::start_as(program, directory, setup)
    }

    fn start_as(mut program: Command, directory: TempDir, setup: Value) -> Self {
        let listener = UnixListener::bind(directory.path().join("guest.sock")).unwrap();
        let (keeper, theirs) = UnixStream::pair().unwrap();
        let child = program
            .args(["--listen", &inherited(&listener)])
            .args(["--channel", &inherited(&theirs)])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        drop((listener, theirs));
        let keeper = patient(keeper);
        (&keeper)
            .write_all(format!("{setup}\n").as_bytes())
            .unwrap();
        let mut card = Self {
            child,
            keeper: Some(BufReader::new(keeper)),
            directory,
            ready: Value::Null,
        };
        card.ready = card.news();
        card
    }

    /// The next line to the keeper.
    pub fn news(&mut self) -> Value {
        let mut line = String::new();
        self.keeper.as_mut().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    pub fn ask(&mut self, request: Value) {
        let keeper = self.keeper.as_mut().unwrap().get_mut();
        keeper.write_all(format!("{request}\n").as_bytes()).unwrap();
    }

    pub fn status(&mut self) -> Value {
        self.ask(json!({ "id": 1, "request": "status" }));
        loop {
            let line = self.news();
            if line["id"] == 1 {
                return line["result"].clone();
            }
        }
    }

    /// A stream of the guest.
    pub fn stream(&self) -> UnixStream {
        let stream =
            patient(UnixStream::connect(self.directory.path().join("guest.sock")).unwrap());
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A stream that has asked for this, and the answer.
    pub fn request(&self, request: &Request) -> (UnixStream, Status) {
        let mut stream = self.stream();
        // A card without room for a flow answers before it has read, and hangs up.
        let _ = stream.write_all(&request.encode());
        let status = status_of(&mut stream);
        (stream, status)
    }

    pub fn tcp(&self, address: SocketAddr) -> (UnixStream, Status) {
        self.request(&flow(Protocol::Tcp, address, None))
    }

    pub fn close_keeper(&mut self) {
        self.keeper = None;
    }

    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        until("the card has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits until the guest has no flow any more.
    pub fn until_idle(&mut self) {
        until("no flow is left", || self.status()["flows"] == 0);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it holds.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let statm = std::fs::read_to_string(path).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until it holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "this never came about: {what}");
        thread::yield_now();
    }
}

/// A socket at which nobody waits for ever: reading, receiving and accepting fail with `WouldBlock`.
pub fn patient<S: AsFd>(socket: S) -> S {
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).unwrap();
    socket
}

/// A server of the loopback, with its address.
pub fn listen() -> (TcpListener, SocketAddr) {
    let listener = patient(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port of the loopback at which nobody listens, or can while the socket is there.
pub fn unserved() -> (OwnedFd, SocketAddr) {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = getsockname(&socket).unwrap().try_into().unwrap();
    (socket, address)
}

/// The same for datagrams: it is connected to elsewhere, so what others send to it is refused.
pub fn unserved_datagrams() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.connect("127.0.0.1:9").unwrap();
    (socket, address)
}

pub fn status_of(stream: &mut UnixStream) -> Status {
    let mut byte = [0xff];
    stream.read_exact(&mut byte).unwrap();
    Status::from_byte(byte[0]).unwrap()
}

pub fn flow(protocol: Protocol, address: SocketAddr, name: Option<&str>) -> Request {
    Request::Flow {
        protocol,
        address: address.ip(),
        port: address.port(),
        name: name.map(|name| Name::new(name).unwrap()),
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether nothing more comes on a stream.
pub fn is_at_end(stream: &mut UnixStream) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0))
}

pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| ((index * 31) >> 3) as u8).collect()
}

pub fn inherited(fd: &(impl AsFd + AsRawFd)) -> String {
    let flags = fcntl_getfd(fd).unwrap();
    fcntl_setfd(fd, flags - FdFlags::CLOEXEC).unwrap();
    format!("fd={}", fd.as_raw_fd())
}
