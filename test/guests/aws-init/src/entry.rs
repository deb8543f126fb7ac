//! The one module with `unsafe`.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where the C start-up code jumps to.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> libc::c_int {
    let Err(error) = crate::run() else { return 0 };
    eprintln!("aws-init: {error}");
    1
}

/// Makes the command lead a session of its own, and take signals again.
pub fn lead_session(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes system calls only; it does not allocate.
    unsafe {
        command.pre_exec(|| {
            nix::sys::signal::SigSet::all().thread_unblock()?;
            nix::unistd::setsid()?;
            io::Result::Ok(())
        });
    }
}
