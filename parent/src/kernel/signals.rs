//! Signals as a descriptor (signalfd(2)).

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::checked;

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    pub number: i32,
    /// Whether a process sent it, not the kernel (a terminal, an end of a child).
    pub is_sent: bool,
}

/// Signals that are read instead of acted on.
pub struct Signals {
    descriptor: OwnedFd,
    pub(super) blocked_before: libc::sigset_t,
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Signals {
    /// # Errors
    /// As signalfd(2).
    pub fn take(numbers: &[i32]) -> io::Result<Self> {
        // SAFETY: the set is initialised before it is used; the descriptor is new and ours.
        unsafe {
            let mut set = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            for number in numbers {
                libc::sigaddset(set.as_mut_ptr(), *number);
            }
            let set = set.assume_init();
            let mut before = MaybeUninit::<libc::sigset_t>::uninit();
            checked(libc::sigprocmask(
                libc::SIG_BLOCK,
                &raw const set,
                before.as_mut_ptr(),
            ))?;
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            let descriptor = checked(libc::signalfd(-1, &raw const set, flags))?;
            Ok(Self {
                descriptor: OwnedFd::from_raw_fd(descriptor),
                blocked_before: before.assume_init(),
            })
        }
    }

    /// The next one that has come.
    #[must_use]
    pub fn next(&self) -> Option<Signal> {
        // SAFETY: plain integers; the kernel fills in the whole structure or nothing.
        unsafe {
            let mut info: libc::signalfd_siginfo = zeroed();
            let bytes = size_of_val(&info);
            let count = libc::read(self.descriptor.as_raw_fd(), (&raw mut info).cast(), bytes);
            (usize::try_from(count) == Ok(bytes)).then_some(Signal {
                number: info.ssi_signo as i32,
                is_sent: info.ssi_code <= 0,
            })
        }
    }
}
