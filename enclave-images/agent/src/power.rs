//! The end of the machine.
#![forbid(unsafe_code)]

use nix::sys::reboot::{RebootMode, reboot};
use std::process;

/// Resets the machine, which ends it: QEMU runs with `-no-reboot`. Should the kernel refuse, PID 1
/// exits, and the panic that follows ends the machine as well (`panic=-1` on the command line).
pub fn off() -> ! {
    let Err(_) = reboot(RebootMode::RB_AUTOBOOT);
    process::exit(1)
}
