//! Which unix sockets exist: the kernel's list, by inode number. Nothing tells the supervisor that a
//! program has closed a socket, and holding it to find out would keep it open.

use std::collections::HashSet;
use std::fs;

/// The kernel goes on from a place in its list, before which sockets close meanwhile: one that stays may be left
/// out, but not each time.
const LOOKS: usize = 3;

/// The inode numbers of all unix sockets of this network namespace; `None` when the list cannot be read.
#[must_use]
pub fn live_unix_sockets() -> Option<HashSet<u64>> {
    let mut live = HashSet::new();
    for _ in 0..LOOKS {
        live.extend(parse(&fs::read_to_string("/proc/self/net/unix").ok()?));
    }
    Some(live)
}

/// proc_net_unix(5): `Num RefCount Protocol Flags Type St Inode Path`.
fn parse(text: &str) -> impl Iterator<Item = u64> {
    let inode = |line: &str| line.split_ascii_whitespace().nth(6)?.parse().ok();
    text.lines().skip(1).filter_map(inode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::inode_of;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    fn pairs(count: usize) -> Vec<(UnixStream, UnixStream)> {
        (0..count).map(|_| UnixStream::pair().unwrap()).collect()
    }

    #[test]
    fn no_socket_is_missed_while_others_come_and_go() {
        const LISTINGS: usize = 200;
        let kept = pairs(200);
        let inodes = kept.iter().flat_map(|(one, other)| [one, other]);
        let inodes: Vec<u64> = inodes.map(|it| inode_of(it).unwrap()).collect();
        let is_over = AtomicBool::new(false);
        let missed = thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        drop(pairs(20));
                    }
                });
            }
            let is_whole = |live: &HashSet<u64>| inodes.iter().all(|it| live.contains(it));
            let listings = (0..LISTINGS).filter_map(|_| live_unix_sockets());
            let whole = listings.filter(is_whole).count();
            is_over.store(true, Ordering::Relaxed);
            LISTINGS - whole
        });
        assert_eq!(missed, 0);
    }

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
