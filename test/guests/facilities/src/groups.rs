//! Control groups.
#![forbid(unsafe_code)]

use crate::system::{mount, unmount};
use crate::{Outcome, Probe, ensure};
use std::fs;
use std::io;

/// In the order of AWS's /proc/cgroups.
const CONTROLLERS: [&str; 12] = [
    "cpuset",
    "cpu",
    "cpuacct",
    "blkio",
    "memory",
    "devices",
    "freezer",
    "net_cls",
    "perf_event",
    "net_prio",
    "hugetlb",
    "pids",
];

pub const PROBES: &[Probe] = &[("cgroup-v2", version_2), ("cgroup-v1", version_1)];

fn version_2() -> Outcome {
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")?;
    let found: Vec<&str> = controllers.split_whitespace().collect();
    let wanted = ["cpu", "cpuset", "memory", "pids"];
    ensure(wanted.iter().all(|name| found.contains(name)), &controllers)
}

/// As AWS's init does: each enabled controller as a hierarchy of its own; those are AWS's twelve.
fn version_1() -> Outcome {
    let table = fs::read_to_string("/proc/cgroups")?;
    let enabled: Vec<&str> = table
        .lines()
        .skip(1)
        .filter(|line| !line.ends_with("\t0"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for name in &enabled {
        let target = format!("/tmp/groups-{name}");
        fs::create_dir(&target)?;
        mount(name, &target, "cgroup", name)
            .map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        unmount(&target)?;
    }
    ensure(enabled == CONTROLLERS, &enabled.join(" "))
}
