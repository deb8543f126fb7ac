//! An example app: a signer whose key exists in plain text in this enclave only. KMS generated it, keeps nothing
//! of it, and decrypts it for this image's measurements.
//!
//! On vsock port 5005, one JSON line in and one out, any number of them: see `protocol`.
#![forbid(unsafe_code)]

mod protocol;
mod security_module;
mod signing_key;

use protocol::{Connection, MAX_LINE_BYTES};
use signing_key::SigningKey;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;
use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

const PORT: u32 = 5005;
/// Above this many connections at once, a new one is closed.
const MAX_CONNECTIONS: usize = 64;

/// The key, once it is unsealed.
type Shared = Arc<RwLock<Option<SigningKey>>>;

fn main() -> io::Result<()> {
    let key = Shared::default();
    let open_connections = Arc::new(AtomicUsize::new(0));
    for stream in VsockListener::bind_with_cid_port(VMADDR_CID_ANY, PORT)?.incoming() {
        let stream = stream?;
        let key = Arc::clone(&key);
        if let Some(seat) = Seat::take(&open_connections) {
            thread::spawn(move || {
                let _seat = seat;
                // A client that goes away in the middle of a line is ignored.
                let _ = serve(&stream, &key);
            });
        }
    }
    Ok(())
}

/// One of the `MAX_CONNECTIONS`, given back when it is dropped.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let seat = Self(Arc::clone(open));
        (open.fetch_add(1, Ordering::Relaxed) < MAX_CONNECTIONS).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers lines until the client closes or sends one that is too long.
fn serve(mut stream: &VsockStream, key: &Shared) -> io::Result<()> {
    let connection = Connection { key };
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines
            .by_ref()
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let mut response = connection.answer(&line);
        response.push(b'\n');
        stream.write_all(&response)?;
        if line.last() != Some(&b'\n') {
            return Ok(());
        }
    }
}
