//! The app's lines that may leave: those that begin as its manifest says, over a connection of their
//! own to the parent's control port. Every other line is dropped here. The app is never held up: what
//! is written faster than the limits, or than the parent reads, is dropped and counted.
#![forbid(unsafe_code)]

mod limit;
mod lines;
mod queue;

use crate::declared::DeclaredLogs;
use crate::{console, frame, parent};
use limit::{BURST_BYTES, Limit, cost};
use minicbor::Encoder;
use nix::unistd::{Uid, fchown};
use queue::Waiting;
use std::convert::Infallible;
use std::io::{self, PipeReader, Write};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use vsock::VsockStream;

/// What waits for a parent that is slow: a whole burst, however short its lines are.
const MAX_WAITING: usize = BURST_BYTES;
/// As much is written with one call: a call for each line is slow where the machine is emulated.
const BATCH_BYTES: usize = 32 * 1024;
/// How long the last lines may take once the app has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

struct Line {
    stream: Stream,
    bytes: Vec<u8>,
    /// Bytes of the line that were left out at its end.
    cut: u64,
    /// Lines that might leave and were dropped since the line before.
    dropped_before: u64,
}

/// What two readers and one sender share.
struct Shared {
    limit: Mutex<Limit>,
    /// Lines that might leave and were dropped since the last one that waits, or has left.
    dropped: AtomicU64,
}

/// The way out, before the app runs.
pub struct Outlet {
    to: VsockStream,
    declared: DeclaredLogs,
    pipes: Vec<(Stream, PipeReader)>,
}

/// Tells when the last line has left.
pub struct Drain(Receiver<()>);

impl Outlet {
    /// Connects to the parent; `None` where no line may leave, and in debug mode, where the console has
    /// all of them. A parent that takes no lines does not stop the app.
    pub fn open(declared: Option<&DeclaredLogs>) -> Option<Self> {
        let declared =
            declared.filter(|logs| !(logs.stdout.is_empty() && logs.stderr.is_empty()))?;
        if console::is_attached() {
            return None;
        }
        let to = parent::connect(parent::AGENT_PORT, None).ok()?;
        Some(Self {
            to,
            declared: declared.clone(),
            pipes: Vec::new(),
        })
    }

    /// Gives the app a pipe for each stream of which lines may leave; the app's user may open it again
    /// by name.
    pub fn attach(&mut self, command: &mut Command, uid: u32) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.prefixes(stream).is_empty() {
                continue;
            }
            let (reader, writer) = io::pipe()?;
            fchown(&writer, Some(Uid::from_raw(uid)), None)?;
            match stream {
                Stream::Stdout => command.stdout(writer),
                Stream::Stderr => command.stderr(writer),
            };
            self.pipes.push((stream, reader));
        }
        Ok(())
    }

    /// Begins to read and to send, in threads of their own. The pipes are read until their end,
    /// whatever becomes of the parent.
    pub fn start(mut self) -> io::Result<Drain> {
        let shared = Arc::new(Shared {
            limit: Mutex::new(Limit::new(Instant::now())),
            dropped: AtomicU64::new(0),
        });
        let (queue, waiting) = queue::bounded(MAX_WAITING);
        for (stream, pipe) in std::mem::take(&mut self.pipes) {
            let prefixes = self.prefixes(stream).to_vec();
            let (queue, shared) = (queue.clone(), Arc::clone(&shared));
            spawn(move || read(pipe, stream, &prefixes, &queue, &shared))?;
        }
        let (done, drained) = mpsc::channel();
        spawn(move || {
            let _ = send_all(&self.to, &waiting, &shared);
            let _ = done.send(());
        })?;
        Ok(Drain(drained))
    }

    fn prefixes(&self, stream: Stream) -> &[String] {
        match stream {
            Stream::Stdout => &self.declared.stdout,
            Stream::Stderr => &self.declared.stderr,
        }
    }
}

impl Drain {
    /// Waits for the last lines of an app that has ended, for a second at most: a process that it left
    /// behind may hold the pipes.
    pub fn wait(self) {
        let _ = self.0.recv_timeout(DRAIN_TIMEOUT);
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("logs".into()).spawn(work)?;
    Ok(())
}

fn read(
    pipe: PipeReader,
    stream: Stream,
    prefixes: &[String],
    queue: &queue::Sender<Line>,
    shared: &Shared,
) {
    let may_leave = |line: &[u8]| prefixes.iter().any(|it| line.starts_with(it.as_bytes()));
    let _ = lines::each(pipe, |line, cut| {
        if !may_leave(line) {
            return;
        }
        let mut limit = shared.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let is_within = limit.allows(line.len(), Instant::now());
        let cost = cost(line.len());
        let dropped_before = shared.dropped.swap(0, Ordering::Relaxed);
        let line = Line {
            stream,
            bytes: line.to_vec(),
            cut,
            dropped_before,
        };
        if !is_within || !queue.send(line, cost) {
            shared
                .dropped
                .fetch_add(dropped_before + 1, Ordering::Relaxed);
        }
    });
}

/// Until the pipes have ended, or the parent takes no more.
fn send_all(mut to: &VsockStream, waiting: &Waiting<Line>, shared: &Shared) -> io::Result<()> {
    while let Some(first) = waiting.take() {
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(line) = next {
            append_dropped(&mut batch, line.dropped_before)?;
            frame::append(&mut batch, &encode_line(&line))?;
            next = (batch.len() < BATCH_BYTES)
                .then(|| waiting.take_now())
                .flatten();
        }
        to.write_all(&batch)?;
    }
    let mut last = Vec::new();
    append_dropped(&mut last, shared.dropped.swap(0, Ordering::Relaxed))?;
    to.write_all(&last)
}

/// Says, where in the log it belongs, that lines are missing.
fn append_dropped(batch: &mut Vec<u8>, count: u64) -> io::Result<()> {
    match count {
        0 => Ok(()),
        count => frame::append(batch, &encode_dropped(count)),
    }
}

fn encode_line(line: &Line) -> Vec<u8> {
    let stream = match line.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    encode(|to| {
        to.map(3)?.str("stream")?.str(stream)?;
        to.str("line")?.bytes(&line.bytes)?;
        to.str("cut")?.u64(line.cut)?;
        Ok(())
    })
}

fn encode_dropped(count: u64) -> Vec<u8> {
    encode(|to| {
        to.map(1)?.str("dropped")?.u64(count)?;
        Ok(())
    })
}

fn encode(
    write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Result<(), minicbor::encode::Error<Infallible>>,
) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).expect("writing to memory cannot fail");
    encoder.into_writer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_that_may_leave_waits_for_a_slow_parent() {
        const LINES: usize = 1500;
        let (pipe, mut writer) = io::pipe().unwrap();
        let burst = "a line of an ordinary length, as programs print when they start\n";
        let printing =
            thread::spawn(move || writer.write_all(burst.repeat(LINES).as_bytes()).unwrap());
        let shared = Shared {
            limit: Mutex::new(Limit::new(Instant::now())),
            dropped: AtomicU64::new(0),
        };
        let (queue, waiting) = queue::bounded(MAX_WAITING);
        read(pipe, Stream::Stdout, &[String::new()], &queue, &shared);
        printing.join().unwrap();
        drop(queue);
        assert_eq!(
            std::iter::from_fn(|| waiting.take()).count(),
            LINES,
            "the parent has read none so far"
        );
        assert_eq!(shared.dropped.into_inner(), 0);
    }

    #[test]
    fn messages_have_their_shortest_form() {
        let line = Line {
            stream: Stream::Stderr,
            bytes: b"a\xff".to_vec(),
            cut: 300,
            dropped_before: 0,
        };
        let expected = b"\xa3\x66stream\x66stderr\x64line\x42a\xff\x63cut\x19\x01\x2c";
        assert_eq!(encode_line(&line), expected);
        assert_eq!(encode_dropped(7), b"\xa1\x67dropped\x07");
    }
}
