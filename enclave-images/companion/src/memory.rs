//! How much of the guest's memory a role may use for what strangers send.

use std::fs;
use std::io::{self, ErrorKind};

/// Of the guest's memory, for all buffers of a role together.
const BUFFER_SHARE: usize = 4;
const MAX_BUFFER_BYTES: usize = 128 << 20;

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
