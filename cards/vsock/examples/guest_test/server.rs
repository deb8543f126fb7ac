//! Ports that the host dials.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::socket::Backlog;
use serde_json::{Value, json};
use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

use crate::pattern::Pattern;

/// Serves every connection to a port on a thread of its own.
pub fn listen<F>(port: u32, serve: F) -> io::Result<Value>
where
    F: Fn(VsockStream) -> io::Result<()> + Send + Sync + 'static,
{
    let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, port)?;
    nix::sys::socket::listen(&listener, Backlog::new(1024)?)?; // instead of the crate's 128
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            let _ = thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || serve(stream));
        }
    });
    Ok(json!({ "port": port }))
}

/// Sends everything back, then the end.
pub fn echo(mut stream: VsockStream) -> io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        stream.write_all(&bytes[..count])?;
    }
}

/// Reads to the end, then answers with how much it was and its CRC-32.
pub fn sink(mut stream: VsockStream) -> io::Result<()> {
    let (bytes, crc32) = digest(&mut stream)?;
    stream.write_all(format!("{{\"bytes\":{bytes},\"crc32\":{crc32}}}").as_bytes())?;
    stream.shutdown(Shutdown::Write)
}

/// Reads that many bytes, then answers with one.
pub fn discard(mut stream: VsockStream, bytes: u64) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left = left.saturating_sub(count as u64);
    }
    stream.write_all(&[1])
}

/// Reads one byte, then closes with whatever else has come.
pub fn drop_unread(mut stream: VsockStream) -> io::Result<()> {
    stream.read_exact(&mut [0])?;
    thread::sleep(Duration::from_millis(50));
    Ok(())
}

/// Sends bytes of the pattern, then the end.
pub fn source(mut stream: VsockStream, bytes: u64) -> io::Result<()> {
    let pattern = Pattern::new();
    let mut sent = 0;
    while sent < bytes {
        let now = (bytes - sent).min(256 * 1024);
        stream.write_all(pattern.at(sent, now as usize))?;
        sent += now;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

pub fn digest(stream: &mut impl Read) -> io::Result<(u64, u32)> {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok((bytes, hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
        bytes += count as u64;
    }
}
