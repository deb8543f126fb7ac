//! `cloister-parent`: runs a program and is its stand-in for the host's `AF_VSOCK`. Exit status and
//! signals are the program's; standard streams and terminal are left alone.
#![deny(unsafe_code)]

use std::fs;
use std::io::{stderr, stdin, stdout};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use cloister_parent::arguments::{Arguments, USAGE};
use cloister_parent::failure::Failure;
use cloister_parent::filter;
use cloister_parent::kernel::{self, Reports, Signals, is_vsock, spawn_filtered};
use cloister_parent::supervisor::Supervisor;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, set_child_subreaper, set_parent_process_death_signal,
    wait,
};

/// Sent to us, these are meant for the program. From a terminal it gets them itself.
const FORWARDED: [i32; 7] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];

fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!(
                "{}: {}\nWhat to do: {}",
                failure.code, failure.message, failure.hint
            );
            ExitCode::from(failure.exit_status)
        }
    }
}

fn run() -> Result<u8, Failure> {
    let arguments = Arguments::parse(std::env::args_os().skip(1))
        .map_err(|error| Failure::arguments(format!("{error}\n{USAGE}")))?;
    if let Some(descriptor) = inherited().find(|number| is_vsock(*number)) {
        return Err(Failure::inherited(descriptor));
    }
    unset_nonblocking();
    let signals = prepare(arguments.with_parent)?;
    let (child, reports) = start(&arguments, &signals)?;
    let mut supervisor = Supervisor::new(reports, &arguments.runtime, arguments.enclaves)
        .map_err(|error| Failure::kernel(format!("cannot watch the registry: {error}")))?;
    let mut terminal = Terminal::default();
    loop {
        supervisor
            .work(&signals)
            .map_err(|error| Failure::kernel(format!("cannot hear the program: {error}")))?;
        while let Some(signal) = signals.next() {
            if terminal.is_for_program(signal)
                && let Some(number) = Signal::from_named_raw(signal.number)
            {
                let _ = kill_process(child, number); // it may have ended
            }
        }
        if let Some(status) = ended(child) {
            return Ok(status);
        }
    }
}

/// What the terminal has sent: it sends to the whole foreground group, so the program got it too,
/// and the process that started us may pass its own copy on.
#[derive(Default)]
struct Terminal {
    last: Option<(i32, Instant)>,
}

impl Terminal {
    const PASSED_ON_WITHIN: Duration = Duration::from_secs(1);

    fn is_for_program(&mut self, signal: kernel::Signal) -> bool {
        if !signal.is_sent {
            self.last = Some((signal.number, Instant::now()));
            return false;
        }
        let is_copy = |(number, at): (i32, Instant)| {
            number == signal.number && at.elapsed() < Self::PASSED_ON_WITHIN
        };
        !self.last.is_some_and(is_copy)
    }
}

/// Open descriptors, the one that lists them included.
fn inherited() -> impl Iterator<Item = RawFd> {
    let entries = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Node.js, which may have run in this process before, leaves pipes so.
fn unset_nonblocking() {
    for stream in [stdin().as_fd(), stdout().as_fd(), stderr().as_fd()] {
        if let Ok(flags) = fcntl_getfl(stream) {
            let _ = fcntl_setfl(stream, flags - OFlags::NONBLOCK); // it may be closed
        }
    }
}

fn prepare(with_parent: bool) -> Result<Signals, Failure> {
    let failed = |error: std::io::Error| Failure::kernel(format!("cannot prepare: {error}"));
    let parent = rustix::process::getppid();
    if with_parent {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| failed(error.into()))?;
        if rustix::process::getppid() != parent {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        }
    }
    // Yama lets a process look into its descendants, so those that lose their parent stay ours.
    set_child_subreaper(Some(rustix::process::getpid())).map_err(|error| failed(error.into()))?;
    let all: Vec<_> = FORWARDED.into_iter().chain([libc::SIGCHLD]).collect();
    Signals::take(&all).map_err(failed)
}

fn start(arguments: &Arguments, signals: &Signals) -> Result<(Pid, Reports), Failure> {
    let [program, rest @ ..] = arguments.command.as_slice() else {
        return Err(Failure::arguments(USAGE.into()));
    };
    let mut command = Command::new(program);
    command.args(rest).arg0(program);
    let (child, reports) = spawn_filtered(command, filter::program(), signals)
        .map_err(|error| Failure::spawn(&program.to_string_lossy(), &error))?;
    let child = Pid::from_child(&child);
    if !reports.answers_with_descriptors() {
        let _ = kill_process(child, Signal::KILL);
        return Err(Failure::kernel(
            "the kernel cannot hand a descriptor to a call (SECCOMP_ADDFD_FLAG_SEND)".into(),
        ));
    }
    reports.take_turns();
    Ok((child, reports))
}

/// The program's exit status, as a shell gives it, once it has ended. Orphans of it are reaped.
fn ended(child: Pid) -> Option<u8> {
    while let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) {
        if process == child {
            let of_signal = status.terminating_signal().map(|signal| 128 + signal);
            return Some(status.exit_status().or(of_signal).unwrap_or(1) as u8);
        }
    }
    None
}
