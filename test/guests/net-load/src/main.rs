//! A client and a server for measuring TCP. One line of JSON for each measurement.
//!
//!   net-load serve [PORT]             prints its port; each connection begins with a command
//!   net-load down|up ADDRESS BYTES    MB per second
//!   net-load echo ADDRESS COUNT       64 bytes there and back: per second, p50 and p99 in ms
//!   net-load connect ADDRESS COUNT    the same, each over a connection of its own
//!   net-load hold ADDRESS COUNT       so many connections at once, each of which then echoes
//!   net-load crowd ADDRESS COUNT      the same, of which some may be reset
//!   net-load stall ADDRESS COUNT      so many that read nothing of what comes, while another one echoes; then all of it
//!   net-load mirror ADDRESS BYTES     echoes of bytes that are compared
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const CHUNK_BYTES: usize = 256 * 1024;
const ECHO_BYTES: usize = 64;
/// A command and a number.
const HEAD_BYTES: usize = 9;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |word: &str| word.parse::<u64>().map_err(io::Error::other);
    let count = |word: &str| word.parse::<usize>().map_err(io::Error::other);
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve(0),
        ["serve", port] => serve(port.parse().map_err(io::Error::other)?),
        ["down", address, bytes] => down(address, number(bytes)?),
        ["up", address, bytes] => up(address, number(bytes)?),
        ["echo", address, times] => echo(address, count(times)?),
        ["connect", address, times] => connect(address, count(times)?),
        ["hold", address, times] => hold(address, count(times)?),
        ["crowd", address, times] => crowd(address, count(times)?),
        ["stall", address, times] => stall(address, count(times)?),
        ["mirror", address, bytes] => mirror(address, number(bytes)?),
        _ => Err(io::Error::other("see the source for the arguments")),
    }
}

fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || _ = answer(stream));
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head)?;
    let mut left = u64::from_be_bytes(*head[1..].first_chunk().ok_or(io::ErrorKind::InvalidData)?);
    let mut buffer = vec![0; CHUNK_BYTES];
    match head[0] {
        b'd' => send(&mut stream, left),
        b'u' => {
            while left > 0 {
                left -= receive(&mut stream, &mut buffer)? as u64;
            }
            stream.write_all(b"!")
        }
        _ => loop {
            let count = receive(&mut stream, &mut buffer)?;
            stream.write_all(&buffer[..count])?;
        },
    }
}

fn receive(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

fn send(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let chunk = vec![7; CHUNK_BYTES];
    while left > 0 {
        let count = left.min(CHUNK_BYTES as u64);
        stream.write_all(&chunk[..count as usize])?;
        left -= count;
    }
    Ok(())
}

fn dial(address: &str, command: u8, number: u64) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut head = vec![command];
    head.extend(number.to_be_bytes());
    stream.write_all(&head)?;
    Ok(stream)
}

fn down(address: &str, bytes: u64) -> io::Result<()> {
    let start = Instant::now();
    let mut stream = dial(address, b'd', bytes)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        left -= receive(&mut stream, &mut buffer)? as u64;
    }
    print_rate(bytes, start.elapsed());
    Ok(())
}

fn up(address: &str, bytes: u64) -> io::Result<()> {
    let start = Instant::now();
    let mut stream = dial(address, b'u', bytes)?;
    send(&mut stream, bytes)?;
    stream.read_exact(&mut [0])?;
    print_rate(bytes, start.elapsed());
    Ok(())
}

fn print_rate(bytes: u64, elapsed: Duration) {
    let rate = bytes as f64 / 1e6 / elapsed.as_secs_f64();
    println!(r#"{{"megabytesPerSecond":{rate:.2}}}"#);
}

fn ping(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&[7; ECHO_BYTES])?;
    stream.read_exact(&mut [0; ECHO_BYTES])
}

fn echo(address: &str, count: usize) -> io::Result<()> {
    let mut stream = dial(address, b'e', 0)?;
    measure(count, || ping(&mut stream))
}

fn connect(address: &str, count: usize) -> io::Result<()> {
    measure(count, || ping(&mut dial(address, b'e', 0)?))
}

fn measure(count: usize, mut once: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut times = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        let begun = Instant::now();
        once()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(count * share / 100).copied().unwrap_or_default();
    let (p50, p99) = (at(50), at(99));
    println!(r#"{{"perSecond":{rate:.1},"p50Ms":{p50:.3},"p99Ms":{p99:.3}}}"#);
    Ok(())
}

fn hold(address: &str, count: usize) -> io::Result<()> {
    let start = Instant::now();
    let streams: io::Result<Vec<_>> = (0..count).map(|_| dial(address, b'e', 0)).collect();
    let mut streams = streams?;
    streams.iter_mut().try_for_each(ping)?;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!(r#"{{"held":{count},"perSecond":{rate:.1}}}"#);
    Ok(())
}

fn crowd(address: &str, count: usize) -> io::Result<()> {
    let streams: Vec<_> = (0..count).map(|_| dial(address, b'e', 0)).collect();
    let (mut served, mut reset) = (Vec::new(), 0);
    for stream in streams {
        match stream.and_then(|mut stream| ping(&mut stream).map(|()| stream)) {
            Ok(stream) => served.push(stream),
            Err(error) if is_reset(&error) => reset += 1,
            Err(error) => return Err(error),
        }
    }
    println!(r#"{{"served":{},"reset":{reset}}}"#, served.len());
    Ok(())
}

fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), ConnectionReset | BrokenPipe)
}

/// Of each connection that reads nothing at first: more than is buffered on the way.
const STALLED_BYTES: u64 = 4_000_000;
const STALL: Duration = Duration::from_secs(2);

fn stall(address: &str, count: usize) -> io::Result<()> {
    let dial_down = |_| dial(address, b'd', STALLED_BYTES);
    let mut streams = (0..count).map(dial_down).collect::<io::Result<Vec<_>>>()?;
    thread::sleep(STALL);
    ping(&mut dial(address, b'e', 0)?)?;
    let mut received = 0;
    for stream in &mut streams {
        let mut whole = stream.take(STALLED_BYTES);
        received += io::copy(&mut whole, &mut io::sink())?;
    }
    println!(r#"{{"stalled":{count},"received":{received}}}"#);
    Ok(())
}

/// Bytes that never repeat within a run: xorshift64 (Marsaglia, "Xorshift RNGs").
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}

fn compare(stream: &mut TcpStream, mut noise: Noise, length: usize) -> io::Result<Noise> {
    let (mut expected, mut received) = (vec![0; length], vec![0; length]);
    noise.fill(&mut expected);
    stream.read_exact(&mut received)?;
    if received != expected {
        return Err(io::Error::other("other bytes came back"));
    }
    Ok(noise)
}

fn mirror(address: &str, bytes: u64) -> io::Result<()> {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let start = Instant::now();
    let mut stream = dial(address, b'e', 0)?;
    let mut sending = stream.try_clone()?;
    let chunks = move || {
        (0..bytes)
            .step_by(CHUNK_BYTES)
            .map(move |at| (bytes - at).min(CHUNK_BYTES as u64) as usize)
    };
    let lengths = chunks();
    let sender = thread::spawn(move || -> io::Result<()> {
        let (mut noise, mut chunk) = (Noise(SEED), vec![0; CHUNK_BYTES]);
        for length in lengths {
            noise.fill(&mut chunk[..length]);
            sending.write_all(&chunk[..length])?;
        }
        Ok(())
    });
    let compared = chunks().try_fold(Noise(SEED), |noise, length| {
        compare(&mut stream, noise, length)
    });
    if compared.is_err() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    let sent = sender
        .join()
        .map_err(|_| io::Error::other("the sender panicked"))?;
    match compared {
        // The kernel tells one of both threads of a reset; the other one finds an end.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => sent.and(Err(error)),
        compared => compared.map(drop),
    }?;
    let seconds = start.elapsed().as_secs_f64();
    println!(r#"{{"mirrored":{bytes},"seconds":{seconds:.1}}}"#);
    Ok(())
}
