//! The example app: serves attestation documents on vsock port 5005. Written for AWS Nitro
//! Enclaves, with AWS's own NSM crate as published; it knows nothing of Cloister.
//!
//! One JSON line in: `{"nonce": b64|null, "userData": b64|null, "publicKey": b64|null}`.
//! One JSON line out: `{"document": b64}` or `{"error": text}`. Then the next, on the same
//! connection.
#![forbid(unsafe_code)]

mod protocol;
mod security_module;

use protocol::{MAX_LINE_BYTES, answer};
use security_module::SecurityModule;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

const PORT: u32 = 5005;
/// Above this many connections at once, a new one is closed.
const MAX_CONNECTIONS: usize = 64;

fn main() -> io::Result<()> {
    let nsm = Arc::new(SecurityModule::open()?);
    let open_connections = Arc::new(AtomicUsize::new(0));
    for stream in VsockListener::bind_with_cid_port(VMADDR_CID_ANY, PORT)?.incoming() {
        let stream = stream?;
        let seat = Seat::take(&open_connections);
        let nsm = Arc::clone(&nsm);
        if let Some(seat) = seat {
            thread::spawn(move || {
                let _seat = seat;
                // A client that goes away in the middle of a line is ignored.
                let _ = serve(&stream, &nsm);
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
fn serve(mut stream: &VsockStream, nsm: &SecurityModule) -> io::Result<()> {
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
        let mut response = answer(&line, |request| nsm.attest(request));
        response.push(b'\n');
        stream.write_all(&response)?;
        if line.last() != Some(&b'\n') {
            return Ok(());
        }
    }
}
