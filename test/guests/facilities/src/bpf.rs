//! eBPF: a map, and programs of two instructions.
#![forbid(unsafe_code)]

use crate::system::{address, call, open};
use crate::{Outcome, Probe, ensure};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// bpf(2)
const MAP_CREATE: usize = 0;
const PROG_LOAD: usize = 5;
const PROG_ATTACH: usize = 8;
const SOCKET_FILTER: u32 = 1;
const CGROUP_SKB: u32 = 8;
const CGROUP_INET_EGRESS: u32 = 1;
/// `r0 = 1; exit`
const PROGRAM: [u64; 2] = [0x0000_0001_0000_00b7, 0x0000_0000_0000_0095];

pub const PROBES: &[Probe] = &[("bpf", maps_and_programs), ("bpf-cgroup", on_group)];

fn maps_and_programs() -> Outcome {
    // An array of one element: key and value of four bytes.
    let array = [2u32, 4, 4, 1, 0, 0, 0, 0];
    let size = size_of_val(&array);
    open(libc::SYS_bpf, &[MAP_CREATE, address(&array), size])?;
    load(SOCKET_FILTER)?;
    // Only root may load programs, and they are compiled.
    let unprivileged = fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled")?;
    ensure(unprivileged.trim() == "2", &unprivileged)?;
    let compiled = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable")?;
    ensure(compiled.trim() == "1", &compiled)
}

fn load(kind: u32) -> io::Result<OwnedFd> {
    let licence = c"Apache-2.0";
    let count = u64::try_from(PROGRAM.len()).map_err(io::Error::other)?;
    let attributes = [
        u64::from(kind) | count << 32,
        address(&PROGRAM) as u64,
        licence.as_ptr().addr() as u64,
        0,
        0,
        0,
    ];
    let size = size_of_val(&attributes);
    open(libc::SYS_bpf, &[PROG_LOAD, address(&attributes), size])
}

fn on_group() -> Outcome {
    let program = load(CGROUP_SKB)?;
    fs::create_dir_all("/sys/fs/cgroup/probe")?;
    let group = File::open("/sys/fs/cgroup/probe")?;
    let fd = |fd: i32| fd.cast_unsigned();
    let attributes = [
        fd(group.as_raw_fd()),
        fd(program.as_raw_fd()),
        CGROUP_INET_EGRESS,
        0,
    ];
    let size = size_of_val(&attributes);
    call(libc::SYS_bpf, &[PROG_ATTACH, address(&attributes), size]).map(drop)
}
