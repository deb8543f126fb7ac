//! A test guest's PID 1 that does what the init of AWS's images does, in its order
//! (aws-nitro-enclaves-sdk-bootstrap, init/init.c), and nothing that ours does beyond it: it speaks
//! to nobody but the heartbeat's port and leaves /dev/nsm to the kernel. Any failure ends it, and a
//! kernel panics without its init. Left out: nsm.ko, which AWS's init skips too when it is absent.
#![deny(unsafe_code)]
// std's own start-up aborts when descriptors 0 to 2 are closed and /dev/null cannot be opened,
// which is how the kernel starts PID 1 when there is no console.
#![no_main]

mod app;
#[allow(unsafe_code)]
mod entry;
mod mounts;

use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::SigSet;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use vsock::VsockStream;

const PARENT: u32 = 3;
const HEARTBEAT_PORT: u32 = 9000;
const HEARTBEAT: u8 = 0xb7;

/// Called by the entry point; returns only when something failed.
fn run() -> io::Result<()> {
    if std::process::id() != 1 {
        return Err(ErrorKind::Unsupported.into());
    }
    SigSet::all().thread_block()?;
    mounts::mount_devices()?;
    open_console()?;
    heartbeat()?;
    let (environment, command) = (lines("/env"), lines("/cmd"));
    mounts::enter_rootfs()?;
    mounts::mount_devices()?;
    mounts::mount_rest()?;
    app::run(&command, &environment)?;
    reboot(RebootMode::RB_AUTOBOOT)?;
    Ok(())
}

/// AWS's init cannot do without a console.
fn open_console() -> io::Result<()> {
    let console = File::options()
        .read(true)
        .write(true)
        .open("/dev/console")?;
    dup2_stdin(&console)?;
    dup2_stdout(&console)?;
    dup2_stderr(&console)?;
    Ok(())
}

fn heartbeat() -> io::Result<()> {
    let mut stream = VsockStream::connect_with_cid_port(PARENT, HEARTBEAT_PORT)?;
    let mut byte = [HEARTBEAT];
    stream.write_all(&byte)?;
    stream.read_exact(&mut byte)?;
    if byte == [HEARTBEAT] {
        Ok(())
    } else {
        Err(ErrorKind::InvalidData.into())
    }
}

/// One item per line; the file is gone afterwards.
fn lines(path: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}
