//! Memory.
#![forbid(unsafe_code)]

use crate::netlink::present;
use crate::system::{address_mut, call, map, number, open};
use crate::{Outcome, Probe, ensure, opens};
use std::fs;

const PAGE_BYTES: usize = 4096;
const HUGE_PAGE_BYTES: usize = 2 << 20;

pub const PROBES: &[Probe] = &[
    ("memfd", || {
        open(libc::SYS_memfd_create, &[c"probe".as_ptr().addr(), 0]).map(drop)
    }),
    ("transparent-huge-pages", transparent_huge_pages),
    ("hugetlbfs", huge_pages),
    ("userfaultfd", || {
        open(libc::SYS_userfaultfd, &[number(libc::O_CLOEXEC)]).map(drop)
    }),
    ("memfd-secret", || {
        open(libc::SYS_memfd_secret, &[0]).map(drop)
    }),
    ("protection-keys", || {
        call(libc::SYS_pkey_alloc, &[0, 0]).map(drop)
    }),
    ("ksm", ksm),
    ("numa", numa),
    ("swap", || {
        present(call(libc::SYS_swapon, &[c"/nothing".as_ptr().addr(), 0]))
    }),
];

/// Below 512 MiB of memory the kernel starts with `never`.
fn transparent_huge_pages() -> Outcome {
    let setting = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")?;
    ensure(!setting.contains("[always]"), &setting)
}

fn huge_pages() -> Outcome {
    opens("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")?;
    fs::write("/proc/sys/vm/nr_hugepages", "1")?;
    map(HUGE_PAGE_BYTES, libc::MAP_HUGETLB)?;
    fs::create_dir_all("/tmp/huge")?;
    crate::system::mount("hugetlbfs", "/tmp/huge", "hugetlbfs", "")
}

fn ksm() -> Outcome {
    let memory = map(PAGE_BYTES, 0)?;
    let advice = number(libc::MADV_MERGEABLE);
    call(libc::SYS_madvise, &[memory, PAGE_BYTES, advice]).map(drop)
}

fn numa() -> Outcome {
    let mut policy = 0i32;
    call(libc::SYS_get_mempolicy, &[address_mut(&mut policy)]).map(drop)
}
