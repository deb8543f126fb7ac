//! Many connections at once on which one side does not read.

use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use vsock::VsockStream;

/// Rounds without a byte taken after which nobody reads any more: 3 s.
const QUIET_ROUNDS: usize = 60;
const ROUND: Duration = Duration::from_millis(50);

/// Connections that stay open until they are released.
static CROWD: Mutex<Vec<VsockStream>> = Mutex::new(Vec::new());

/// Opens connections and writes to all of them as long as any takes bytes.
pub fn fill(cid: u32, port: u32, count: u64) -> io::Result<Value> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let stream = VsockStream::connect_with_cid_port(cid, port)?;
        stream.set_nonblocking(true)?;
        streams.push(stream);
    }
    let chunk = vec![7; 64 * 1024];
    let mut sent = 0;
    let mut quiet = 0;
    while quiet < QUIET_ROUNDS {
        let before = sent;
        for stream in &mut streams {
            sent += write_some(stream, &chunk)?;
        }
        if sent == before {
            quiet += 1;
            thread::sleep(ROUND);
        } else {
            quiet = 0;
        }
    }
    keep(streams);
    Ok(json!({ "sent": sent }))
}

fn write_some(stream: &mut VsockStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// Keeps a connection open and reads nothing.
pub fn ignore(stream: VsockStream) -> io::Result<()> {
    keep([stream]);
    Ok(())
}

fn keep(streams: impl IntoIterator<Item = VsockStream>) {
    let mut crowd = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    crowd.extend(streams);
}

/// Closes every connection that was kept open.
pub fn release() -> Value {
    let mut crowd = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    json!({ "released": std::mem::take(&mut *crowd).len() })
}
