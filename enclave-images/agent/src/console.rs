//! The standard streams: the console in debug mode, nothing otherwise.
#![forbid(unsafe_code)]

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Opens /dev/console as descriptors 0 to 2, or /dev/null where there is no console.
pub fn attach() -> io::Result<()> {
    let opened = open("/dev/console").or_else(|_| open("/dev/null"))?;
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

/// Prints one line; a console that does not take it is no failure.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "cloister: {line}");
}
