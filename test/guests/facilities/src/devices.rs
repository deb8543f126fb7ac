//! Devices.
#![forbid(unsafe_code)]

use crate::netlink::present;
use crate::system::call;
use crate::{Outcome, Probe, ensure, opens};
use std::fs;

pub const PROBES: &[Probe] = &[
    ("nsm", || opens("/dev/nsm")),
    ("hw-random", hw_random),
    ("ptp-kvm", || opens("/dev/ptp0")),
    ("fuse", || opens("/dev/fuse")),
    ("cpuid-device", || opens("/dev/cpu/0/cpuid")),
    ("devmem", ways_to_memory),
];

/// There without a source of random numbers too; reading would then fail.
fn hw_random() -> Outcome {
    fs::metadata("/dev/hwrng").map(drop)
}

/// Fails unless one of them is there.
fn ways_to_memory() -> Outcome {
    let paths = ["/dev/mem", "/dev/port", "/proc/kcore", "/dev/cpu/0/msr"];
    let is_open = paths.iter().any(|path| fs::metadata(path).is_ok());
    let io_ports = present(call(libc::SYS_iopl, &[0])).is_ok();
    ensure(is_open || io_ports, "none of them is there")
}
