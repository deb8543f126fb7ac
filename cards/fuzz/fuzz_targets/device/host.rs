//! The host's programs: a server that accepts, one whose backlog is full, and clients.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub const SERVED_PORT: u32 = 7000;
pub const FULL_PORT: u32 = 7001;

/// Sockets bound once for all runs, in a directory that whoever runs the fuzzer removes.
pub struct Place {
    pub uds_path: PathBuf,
    pub listener: UnixListener,
    server: UnixListener,
    _full: (UnixListener, UnixStream),
}

pub static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let name = format!("vsock-fuzz-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir(&directory).expect("a directory");
    let path = |suffix: &str| directory.join(format!("v{suffix}"));
    Place {
        uds_path: path(""),
        listener: listen(&path("")),
        server: listen(&path(&format!("_{SERVED_PORT}"))),
        _full: listen_full(&path(&format!("_{FULL_PORT}"))),
    }
});

fn listen(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).expect("a listener");
    listener.set_nonblocking(true).expect("non-blocking");
    listener
}

/// A listener for one client, which has come already.
fn listen_full(path: &Path) -> (UnixListener, UnixStream) {
    let listener = listen(path);
    rustix::net::listen(&listener, 0).expect("a backlog of one");
    let client = UnixStream::connect(path).expect("a client");
    (listener, client)
}

/// What the host has open.
#[derive(Default)]
pub struct Host {
    sockets: Vec<UnixStream>,
}

impl Host {
    pub fn dial(&mut self, line: &[u8]) {
        let socket = UnixStream::connect(&PLACE.uds_path).expect("the card's listener");
        self.take(socket);
        self.write(usize::MAX, line);
    }

    /// Takes what the card has opened; whether there was anything.
    pub fn accept(&mut self) -> bool {
        match PLACE.server.accept() {
            Ok((socket, _)) => self.take(socket),
            Err(_) => return false,
        }
        true
    }

    fn take(&mut self, socket: UnixStream) {
        socket.set_nonblocking(true).expect("non-blocking");
        self.sockets.push(socket);
    }

    pub fn write(&mut self, which: usize, bytes: &[u8]) {
        if let Some(mut socket) = self.socket(which) {
            let _ = socket.write(bytes); // full, or closed by the card
        }
    }

    /// Up to that many bytes that have come.
    pub fn read(&mut self, which: usize, bytes: usize) -> Vec<u8> {
        let mut taken = vec![0; bytes];
        let count = match self.socket(which).map(|mut socket| socket.read(&mut taken)) {
            Some(Ok(count)) => count,
            Some(Err(error)) => {
                let expected = [ErrorKind::WouldBlock, ErrorKind::ConnectionReset];
                assert!(expected.contains(&error.kind()), "{error}");
                0
            }
            None => 0,
        };
        taken.truncate(count);
        taken
    }

    pub fn shut_down(&mut self, which: usize, how: Shutdown) {
        if let Some(socket) = self.socket(which) {
            let _ = socket.shutdown(how);
        }
    }

    pub fn close(&mut self, which: usize) {
        if !self.sockets.is_empty() {
            self.sockets.swap_remove(which % self.sockets.len());
        }
    }

    pub fn close_all(&mut self) {
        while self.accept() {}
        self.sockets.clear();
    }

    /// The newest for `usize::MAX`.
    fn socket(&self, which: usize) -> Option<&UnixStream> {
        match self.sockets.len() {
            0 => None,
            count if which == usize::MAX => self.sockets.get(count - 1),
            count => self.sockets.get(which % count),
        }
    }
}

/// Throws away clients that no card has accepted.
pub fn clear_backlog() {
    while PLACE.listener.accept().is_ok() {}
}
