//! Ports of the parent that the guest dials.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, socket};
use serde_json::{Value, json};
use vsock::VsockStream;

use crate::pattern::Pattern;
use crate::server::digest;

fn connect(cid: u32, port: u32) -> io::Result<VsockStream> {
    VsockStream::connect_with_cid_port(cid, port)
}

/// Connects and closes.
pub fn dial(cid: u32, port: u32) -> io::Result<Value> {
    let start = Instant::now();
    let outcome = connect(cid, port);
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    Ok(match outcome {
        Ok(stream) => json!({ "peer": stream.peer_addr()?.cid(), "ms": ms }),
        Err(error) => json!({ "errno": error.raw_os_error(), "ms": ms }),
    })
}

/// Sends bytes of the pattern and the end, then reads the answer to its end.
pub fn send(cid: u32, port: u32, bytes: u64, chunk: usize) -> io::Result<Value> {
    let pattern = Pattern::new();
    let mut stream = connect(cid, port)?;
    let start = Instant::now();
    write_pattern(&mut stream, &pattern, bytes, chunk)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(json!({ "answer": answer, "seconds": start.elapsed().as_secs_f64() }))
}

/// Waits, then reads to the end.
pub fn drain(cid: u32, port: u32, pause_ms: u64) -> io::Result<Value> {
    let mut stream = connect(cid, port)?;
    thread::sleep(Duration::from_millis(pause_ms));
    let start = Instant::now();
    let (bytes, crc32) = digest(&mut stream)?;
    Ok(json!({ "bytes": bytes, "crc32": crc32, "seconds": start.elapsed().as_secs_f64() }))
}

/// Sends bytes of the pattern to an echo while it reads and checks what comes back.
pub fn mirror(cid: u32, port: u32, bytes: u64, chunk: usize) -> io::Result<Value> {
    let mut stream = connect(cid, port)?;
    let start = Instant::now();
    let mut writer = stream.try_clone()?;
    let writing = thread::spawn(move || {
        write_pattern(&mut writer, &Pattern::new(), bytes, chunk)?;
        writer.shutdown(Shutdown::Write)
    });
    let pattern = Pattern::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut received = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        pattern.check(received, &buffer[..count])?;
        received += count as u64;
    }
    writing
        .join()
        .map_err(|_| io::Error::other("the writer died"))??;
    Ok(json!({ "bytes": received, "seconds": start.elapsed().as_secs_f64() }))
}

fn write_pattern(
    stream: &mut VsockStream,
    pattern: &Pattern,
    bytes: u64,
    chunk: usize,
) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes {
        let now = (bytes - sent).min(chunk as u64);
        stream.write_all(pattern.at(sent, now as usize))?;
        sent += now;
    }
    Ok(())
}

/// Round trips of `size` bytes, in microseconds.
pub fn ping(cid: u32, port: u32, size: usize, count: usize) -> io::Result<Value> {
    let mut stream = connect(cid, port)?;
    let mut bytes = vec![7; size];
    let mut micros = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    let rank = |share: f64| micros[((count as f64 * share) as usize).min(count - 1)];
    Ok(json!({ "p50": rank(0.5), "p99": rank(0.99), "max": micros[count - 1] }))
}

/// Opens every connection before it uses the first; each must echo its own number.
pub fn dial_together(cid: u32, port: u32, count: u64) -> io::Result<Value> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(connect(cid, port)?);
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&(number as u64).to_be_bytes())?;
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let mut bytes = [0; 8];
        stream.read_exact(&mut bytes)?;
        if u64::from_be_bytes(bytes) != number as u64 {
            return Err(io::Error::other("another connection's bytes"));
        }
    }
    Ok(json!({ "echoed": streams.len() }))
}

/// One connection after the other, each with a byte there and back.
pub fn dial_in_turn(cid: u32, port: u32, count: u64) -> io::Result<Value> {
    let start = Instant::now();
    for number in 0..count {
        let mut stream = connect(cid, port)?;
        let mut byte = [number as u8];
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        if byte[0] != number as u8 {
            return Err(io::Error::other("another connection's bytes"));
        }
    }
    Ok(json!({ "echoed": count, "seconds": start.elapsed().as_secs_f64() }))
}

/// Closes a connection whose bytes it has not read.
pub fn drop_unread(cid: u32, port: u32) -> io::Result<Value> {
    let mut stream = connect(cid, port)?;
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    thread::sleep(Duration::from_millis(50));
    Ok(json!({ "read": 1 }))
}

/// A socket type that the device does not serve.
pub fn seqpacket(cid: u32, port: u32) -> io::Result<Value> {
    let fd = socket(
        AddressFamily::Vsock,
        SockType::SeqPacket,
        SockFlag::empty(),
        None,
    )?;
    let outcome = nix::sys::socket::connect(fd.as_raw_fd(), &VsockAddr::new(cid, port));
    Ok(json!({ "errno": outcome.err().map(|errno| errno as i32) }))
}
