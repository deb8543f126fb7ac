//! Blocks through zstd on every CPU, and back in the order they came in.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Decides the bytes, with the version of zstd.
pub const LEVEL: i32 = 9;
/// In a block's size: it is stored as it is.
pub const UNCOMPRESSED: u32 = 1 << 24;
/// zstd 1.5.7, from its source (Cargo.lock). Another library gives other bytes.
const VERSION: u32 = 1_05_07;
const MAX_THREADS: usize = 8;

/// A build can be made to use the machine's own zstd; its images would not be ours.
pub fn check_version() -> io::Result<()> {
    let version = zstd::zstd_safe::version_number();
    if version == VERSION {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "this program was built with zstd {version}, not {VERSION}"
    )))
}

/// A block as the image holds it, with its size field.
pub struct Block {
    pub bytes: Vec<u8>,
    pub size: u32,
}

/// What compresses one block after the other; none depends on those before it.
pub struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    pub fn new() -> io::Result<Self> {
        zstd::bulk::Compressor::new(LEVEL).map(Self)
    }

    /// Compresses a block, or leaves it as it is where that does not make it smaller.
    pub fn compress(&mut self, bytes: Vec<u8>) -> io::Result<Block> {
        let packed = self.0.compress(&bytes)?;
        let is_smaller = packed.len() < bytes.len();
        let (bytes, flag) = if is_smaller {
            (packed, 0)
        } else {
            (bytes, UNCOMPRESSED)
        };
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let size = length | flag;
        Ok(Block { bytes, size })
    }
}

struct Job {
    bytes: Vec<u8>,
    done: SyncSender<io::Result<Block>>,
}

/// A queue of blocks, each with a label of type `T` for the one that takes it out.
pub struct Pipeline<T> {
    jobs: SyncSender<Job>,
    pending: VecDeque<(T, Receiver<io::Result<Block>>)>,
    capacity: usize,
}

impl<T> Pipeline<T> {
    /// Its threads end when it is dropped.
    pub fn new() -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, |count| count.get());
        let threads = threads.min(MAX_THREADS);
        let capacity = threads * 4;
        let (jobs, queue) = sync_channel::<Job>(capacity);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let compressor = Compressor::new()?;
            thread::Builder::new().spawn(move || work(&queue, compressor))?;
        }
        let pending = VecDeque::new();
        Ok(Self {
            jobs,
            pending,
            capacity,
        })
    }

    pub fn is_full(&self) -> bool {
        self.pending.len() >= self.capacity
    }

    pub fn put(&mut self, label: T, bytes: Vec<u8>) -> io::Result<()> {
        let (done, result) = sync_channel(1);
        self.jobs
            .send(Job { bytes, done })
            .map_err(io::Error::other)?;
        self.pending.push_back((label, result));
        Ok(())
    }

    /// The oldest block, when it is ready; `None` when there is none.
    pub fn take(&mut self) -> io::Result<Option<(T, Block)>> {
        let Some((label, result)) = self.pending.pop_front() else {
            return Ok(None);
        };
        let block = result.recv().map_err(io::Error::other)??;
        Ok(Some((label, block)))
    }
}

fn work(queue: &Mutex<Receiver<Job>>, mut compressor: Compressor) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { bytes, done }) = next else {
            return;
        };
        // When nobody waits any more, the image has failed already.
        let _ = done.send(compressor.compress(bytes));
    }
}
