//! Which unix sockets exist: the kernel's list, by inode number. Nothing tells the supervisor that a
//! program has closed a socket, and holding it to find out would keep it open.

use std::collections::HashSet;
use std::fs;

/// The inode numbers of all unix sockets of this network namespace; `None` when the list cannot be read.
#[must_use]
pub fn live_unix_sockets() -> Option<HashSet<u64>> {
    Some(parse(&fs::read_to_string("/proc/self/net/unix").ok()?))
}

/// proc_net_unix(5): `Num RefCount Protocol Flags Type St Inode Path`.
fn parse(text: &str) -> HashSet<u64> {
    let inode = |line: &str| line.split_ascii_whitespace().nth(6)?.parse().ok();
    text.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_is_listed_until_it_is_closed() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let file = fs::File::from(std::os::fd::OwnedFd::from(socket));
        let inode = file.metadata().unwrap().ino();
        assert!(live_unix_sockets().unwrap().contains(&inode));
        drop(file);
        assert!(!live_unix_sockets().unwrap().contains(&inode));
    }
}
