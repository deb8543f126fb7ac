//! The agent's other role: netd, the guest part of the network card, as a process without privileges.
#![forbid(unsafe_code)]

use crate::{companions, parent};
use cloister_egress_policy::Policy;
use cloister_egress_policy::policy::MAX_POLICY_BYTES;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};

/// Its first argument, by which it is known.
pub const NAME: &str = "cloister-netd";
/// A descriptor for each flow.
const MAX_DESCRIPTORS: u64 = 8192;
/// Of the guest's memory, for all buffers together.
const BUFFER_SHARE: usize = 4;
const MAX_BUFFER_BYTES: usize = 128 << 20;

/// Relays until something fails; returns the exit status.
pub fn run() -> i32 {
    let Err(error) = relay();
    eprintln!("cloister: netd: {error}");
    1
}

fn relay() -> io::Result<Infallible> {
    companions::confine(NAME, MAX_DESCRIPTORS)?;
    let policy = read_policy(io::stdout().as_fd().try_clone_to_owned()?)?;
    let device = io::stdin().as_fd().try_clone_to_owned()?;
    let dial = Box::new(|| parent::connect_soon(parent::NETWORK_PORT));
    cloister_netd::run(device, policy, dial, buffer_bytes()?)
}

fn read_policy(from: OwnedFd) -> io::Result<Policy> {
    let mut json = Vec::new();
    File::from(from)
        .take(MAX_POLICY_BYTES as u64 + 1)
        .read_to_end(&mut json)?;
    Policy::from_json(&json).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// For the buffers of a companion that carries what strangers send.
pub fn buffer_bytes() -> io::Result<usize> {
    let total = total_memory_bytes(&fs::read_to_string("/proc/meminfo")?);
    let total = total.ok_or(ErrorKind::InvalidData)?;
    Ok((total / BUFFER_SHARE).min(MAX_BUFFER_BYTES))
}

/// Of `MemTotal:  123456 kB` (proc_meminfo(5)).
fn total_memory_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_much_memory_there_is() {
        let meminfo = "MemTotal:         241328 kB\nMemFree:          178416 kB\n";
        assert_eq!(total_memory_bytes(meminfo), Some(241_328 * 1024));
        assert_eq!(total_memory_bytes("MemFree: 1 kB\n"), None);
    }
}
