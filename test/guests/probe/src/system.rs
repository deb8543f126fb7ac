//! Signals and the entry point: the one module with `unsafe`.

use std::mem::zeroed;
use std::ptr::null_mut;

/// Where the C start-up code jumps to.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> libc::c_int {
    crate::run();
    0
}

pub fn end_by_signal(signal: i32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(libc::getpid(), signal) };
}

fn sigterm() -> libc::sigset_t {
    // SAFETY: both calls fill the set that lives here.
    unsafe {
        let mut set = zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        set
    }
}

/// For every thread that starts after this.
pub fn block_sigterm() {
    // SAFETY: the set outlives the call.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &sigterm(), null_mut()) };
}

pub fn wait_for_sigterm() {
    let mut signal = 0;
    // SAFETY: the set and the number outlive the call.
    unsafe { libc::sigwait(&sigterm(), &raw mut signal) };
}

pub fn ignore_sigterm() {
    // SAFETY: SIG_IGN is not a function of ours.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

/// Stops every CPU for good; without ACPI, powering off does no more.
pub fn halt(power_off: bool) {
    let how = if power_off {
        libc::RB_POWER_OFF
    } else {
        libc::RB_HALT_SYSTEM
    };
    // SAFETY: no memory is involved.
    unsafe { libc::reboot(how) };
}

/// Whether the kernel's random pool is ready, without waiting for it.
pub fn has_entropy() -> bool {
    let mut bytes = [0u8; 32];
    // SAFETY: the kernel writes at most 32 bytes into `bytes`.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), 32, libc::GRND_NONBLOCK) };
    got == 32
}
