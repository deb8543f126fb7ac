//! The standard streams: the console in debug mode. Outside it there is no serial port, and then
//! /dev/console opens and fails every write with EIO, so the streams are /dev/null: writes are
//! accepted and dropped, and stdin is at its end.
#![forbid(unsafe_code)]

use nix::sys::termios::tcdrain;
use nix::unistd::{Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchown};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const CONSOLE: &str = "/dev/console";
/// How long the last lines may take to leave a serial port.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens descriptors 0 to 2.
pub fn attach() -> io::Result<()> {
    let opened = open(CONSOLE)
        .and_then(check_writable)
        .or_else(|_| open("/dev/null"))?;
    // The kernel may have started us without descriptors 0 to 2; a clone is always above them.
    let stream = opened.try_clone()?;
    drop(opened);
    dup2_stdin(&stream)?;
    dup2_stdout(&stream)?;
    dup2_stderr(&stream)?;
    Ok(())
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(path)
}

/// Whether the standard streams are the console: in debug mode.
pub fn is_attached() -> bool {
    io::stdout().is_terminal()
}

/// A terminal without a port refuses even a write of nothing.
fn check_writable(mut console: File) -> io::Result<File> {
    console.write(&[]).map(|_| console)
}

/// Lets the app open its streams again by name (/dev/stdout), as container runtimes do.
pub fn give_to(uid: u32) -> io::Result<()> {
    let console = io::stdout();
    if console.is_terminal() {
        fchown(&console, Some(Uid::from_raw(uid)), None)?;
    }
    Ok(())
}

/// Prints one line where there is a console. Never waits: a console that takes no more must not
/// hold up the enclave's end.
pub fn say(line: &str) {
    let console = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(CONSOLE);
    if let Ok(mut console) = console {
        let _ = console.write_all(format!("cloister: {line}\n").as_bytes());
    }
}

/// Waits until what was printed has left the serial port, for a second at most.
pub fn drain() {
    let (done, drained) = mpsc::channel();
    let wait = move || {
        let _ = tcdrain(io::stdout());
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(wait).is_ok() {
        let _ = drained.recv_timeout(DRAIN_TIMEOUT);
    }
}
