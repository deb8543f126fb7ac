//! Several writes in one system call: Linux's asynchronous I/O (io_submit(2), linux/aio_abi.h), which a device that does
//! not block carries out at once. Of io_uring, which could do the same, no seccomp filter sees what it is told to do.

use nix::errno::Errno;
use nix::libc::{self, c_long};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::null_mut;

/// As many at a time.
pub const MAX_WRITES: usize = 4;

/// `IOCB_CMD_PWRITE`.
const WRITE: u16 = 1;

/// `struct iocb`, little-endian.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Order {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    descriptor: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_descriptor: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    order: u64,
    result: i64,
    result2: i64,
}

/// An `aio_context_t`.
pub struct Writes(libc::c_ulong);

impl Writes {
    /// # Errors
    /// When the kernel has no such calls.
    pub fn new() -> nix::Result<Self> {
        let mut context: libc::c_ulong = 0;
        let count = MAX_WRITES as c_long;
        // SAFETY: the kernel writes a number to where `context` is.
        let result = unsafe { libc::syscall(libc::SYS_io_setup, count, &raw mut context) };
        Errno::result(result)?;
        Ok(Self(context))
    }

    /// Writes the first of `packets`, each by itself, and says how many; what became of each is not known.
    pub fn write(&mut self, device: &impl AsFd, packets: &[&[u8]]) -> usize {
        let descriptor = device.as_fd().as_raw_fd().cast_unsigned();
        let mut orders = [Order::default(); MAX_WRITES];
        for (order, packet) in orders.iter_mut().zip(packets) {
            *order = Order {
                opcode: WRITE,
                descriptor,
                buffer: packet.as_ptr() as u64,
                bytes: packet.len() as u64,
                ..Order::default()
            };
        }
        let list = orders.each_ref().map(|order| &raw const *order);
        let count = packets.len().min(MAX_WRITES) as c_long;
        // SAFETY: as many orders as said, of buffers that live until `finish` has seen each carried out.
        let taken = unsafe { libc::syscall(libc::SYS_io_submit, self.0, count, list.as_ptr()) };
        let taken = usize::try_from(taken).unwrap_or(0);
        self.finish(taken);
        taken
    }

    /// Waits until so many are over, which they are already.
    fn finish(&mut self, mut left: usize) {
        let mut events = [Event::default(); MAX_WRITES];
        while left > 0 {
            let (context, count) = (self.0, left as c_long);
            let events = events.as_mut_ptr();
            let no_limit = null_mut::<libc::timespec>();
            // SAFETY: there is room for `left` events, which the kernel writes.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_io_getevents,
                    context,
                    count,
                    count,
                    events,
                    no_limit,
                )
            };
            match usize::try_from(result) {
                Ok(finished) => left = left.saturating_sub(finished),
                Err(_) if Errno::last() == Errno::EINTR => {}
                // The kernel could still read the buffers.
                Err(_) => std::process::abort(),
            }
        }
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        // SAFETY: the context is this one's own; nothing is left in it.
        let _ = unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}
