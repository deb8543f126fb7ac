//! A system call of the program that waits for its answer, and the answers there are.

use std::os::fd::{OwnedFd, RawFd};

use rustix::io::Errno;

/// As the kernel reports it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub id: u64,
    /// The thread that called.
    pub thread: i32,
    pub number: i64,
    pub arguments: [u64; 6],
}

impl Call {
    /// An argument that is an `int` or a file descriptor.
    #[must_use]
    pub fn int(&self, index: usize) -> i32 {
        self.arguments[index] as i32
    }

    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.int(0)
    }

    /// An argument that is an address in the program's memory.
    #[must_use]
    pub fn pointer(&self, index: usize) -> u64 {
        self.arguments[index]
    }
}

/// What the program's call comes to.
#[derive(Debug)]
pub enum Answer {
    /// The kernel does what was called, as without us.
    Pass,
    Value(i64),
    /// A new descriptor of the program, the lowest free number.
    Descriptor {
        socket: OwnedFd,
        close_on_exec: bool,
    },
    /// Comes later.
    Wait,
}

/// An error is the call's `errno`.
pub type Outcome = Result<Answer, Errno>;

pub const DONE: Outcome = Ok(Answer::Value(0));
