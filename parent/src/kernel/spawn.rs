//! A program behind a filter whose reports go to the supervisor.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use libc::{c_int, sock_filter, sock_fprog};
use rustix::io::Errno;

use super::checked;
use super::descriptors::{receive_descriptor, send_descriptor};
use super::reports::Reports;
use super::signals::Signals;

/// Why a program did not start.
#[derive(Debug)]
pub enum SpawnError {
    /// seccomp(2) refused the filter.
    Filter(io::Error),
    Program(io::Error),
}

/// Starts the program behind the filter, without new privileges and with the signals blocked that were
/// before [`Signals::take`]; it dies with this thread.
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn_filtered(
    mut command: Command,
    filter: Vec<sock_filter>,
    signals: &Signals,
) -> Result<(Child, Reports), SpawnError> {
    let (ours, theirs) = UnixStream::pair().map_err(SpawnError::Filter)?;
    let parent = std::process::id();
    let channel = theirs.as_raw_fd();
    let blocked = signals.blocked_before;
    // SAFETY: between fork and exec of a process with one thread the closure makes system calls
    // and nothing else; what it uses was allocated before.
    unsafe { command.pre_exec(move || enter(parent, channel, &filter, &blocked)) };
    let child = command.spawn().map_err(SpawnError::Program);
    drop(theirs);
    match (child, receive_descriptor(&ours)) {
        (Ok(child), Ok(reports)) => Ok((child, Reports(reports))),
        (Err(error), Ok(_)) => Err(error), // it got as far as exec
        (Err(SpawnError::Program(error)), Err(_)) => Err(SpawnError::Filter(error)),
        (_, Err(error)) => Err(SpawnError::Filter(error)),
    }
}

/// In the child: the filter, whose reports go to the supervisor.
fn enter(
    parent: u32,
    channel: RawFd,
    filter: &[sock_filter],
    blocked: &libc::sigset_t,
) -> io::Result<()> {
    // SAFETY: a set of signals that the kernel gave us.
    checked(unsafe { libc::sigprocmask(libc::SIG_SETMASK, blocked, std::ptr::null_mut()) })?;
    const PR_SET: [(c_int, usize); 2] = [
        (libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize),
        (libc::PR_SET_NO_NEW_PRIVS, 1),
    ];
    for (option, value) in PR_SET {
        // SAFETY: both options take integers.
        checked(unsafe { libc::prctl(option, value, 0, 0, 0) })?;
    }
    // SAFETY: getppid(2) takes nothing.
    if unsafe { libc::getppid() } as u32 != parent {
        return Err(Errno::SRCH.into()); // it died before PDEATHSIG was set
    }
    let program = sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: `program` points to `len` instructions, which the kernel copies and checks.
    let reports = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    send_descriptor(channel, checked(reports as c_int)?)
}
