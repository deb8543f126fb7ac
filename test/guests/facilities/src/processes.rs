//! Programs and processes.
#![forbid(unsafe_code)]

use crate::netlink::{self, family};
use crate::system::{address, address_mut, call, in_child, mount, number, open, socket};
use crate::{AS_INTERPRETER, Outcome, Probe, ensure, opens};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

pub const PROBES: &[Probe] = &[
    ("ia32", || exits_with("/32-bit", 32)),
    ("binfmt-misc", binfmt_misc),
    ("modify-ldt", || call(libc::SYS_modify_ldt, &[]).map(drop)),
    ("vsyscall", vsyscall),
    ("namespaces", || unshare(NAMESPACES)),
    ("time-namespaces", || unshare(libc::CLONE_NEWTIME)),
    ("sysv-ipc", || {
        call(libc::SYS_shmget, &[0, 4096, number(libc::IPC_CREAT)]).map(drop)
    }),
    ("message-queues", message_queue),
    ("io-uring", io_uring),
    ("inotify", || open(libc::SYS_inotify_init1, &[0]).map(drop)),
    ("fanotify", fanotify),
    ("dnotify", dnotify),
    ("perf-events", perf_event),
    ("accounting", accounting),
    ("autogroup", || opens("/proc/self/autogroup")),
    ("process-events", || {
        socket(libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_CONNECTOR).map(drop)
    }),
    ("audit", || {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT).map(drop)
    }),
    ("sysrq", || opens("/proc/sys/kernel/sysrq")),
    ("proc-children", || opens("/proc/thread-self/children")),
    ("pagemap", || opens("/proc/self/pagemap")),
    ("cachestat", cachestat),
    ("kcmp", kcmp),
    ("modules", || call(libc::SYS_finit_module, &[0]).map(drop)),
    ("kexec", kexec),
];

const NAMESPACES: i32 = libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWCGROUP;

fn unshare(flags: i32) -> Outcome {
    in_child(|| call(libc::SYS_unshare, &[number(flags)]).map(drop))
}

fn exits_with(program: &str, code: i32) -> Outcome {
    let status = Command::new(program).status()?;
    ensure(status.code() == Some(code), &status.to_string())
}

fn binfmt_misc() -> Outcome {
    fs::create_dir_all("/tmp/formats")?;
    mount("binfmt_misc", "/tmp/formats", "binfmt_misc", "")?;
    fs::write("/tmp/formats/register", ":probe:M::CLOISTER::/facilities:")?;
    // /tmp is mounted without `noexec`.
    fs::write("/tmp/foreign", "CLOISTER")?;
    fs::set_permissions("/tmp/foreign", Permissions::from_mode(0o755))?;
    exits_with("/tmp/foreign", AS_INTERPRETER)
}

fn vsyscall() -> Outcome {
    let maps = fs::read_to_string("/proc/self/maps")?;
    ensure(maps.contains("[vsyscall]"), "no such page")
}

fn message_queue() -> Outcome {
    let flags = [libc::O_CREAT | libc::O_RDWR, 0o600].map(number);
    let arguments = [address(c"probe"), flags[0], flags[1], 0];
    open(libc::SYS_mq_open, &arguments).map(drop)
}

fn io_uring() -> Outcome {
    let mut parameters = [0u8; 120];
    open(libc::SYS_io_uring_setup, &[1, address_mut(&mut parameters)]).map(drop)
}

fn fanotify() -> Outcome {
    const FAN_CLASS_CONTENT: usize = 4;
    let events = number(libc::O_RDONLY);
    open(libc::SYS_fanotify_init, &[FAN_CLASS_CONTENT, events]).map(drop)
}

fn dnotify() -> Outcome {
    let directory = fs::File::open("/tmp")?;
    let fd = number(directory.as_raw_fd());
    let (command, creation) = (number(libc::F_NOTIFY), 4);
    call(libc::SYS_fcntl, &[fd, command, creation]).map(drop)
}

/// `struct perf_event_attr` of a software event that counts CPU time.
fn perf_event() -> Outcome {
    let mut attributes = [0u64; 16];
    attributes[0] = 1 | (128 << 32);
    let (this_process, any_cpu, no_group) = (0, number(-1), number(-1));
    let arguments = [address(&attributes), this_process, any_cpu, no_group, 0];
    open(libc::SYS_perf_event_open, &arguments).map(drop)
}

fn accounting() -> Outcome {
    opens("/proc/self/io")?;
    fs::write("/tmp/account", "")?;
    call(libc::SYS_acct, &[address(c"/tmp/account")])?;
    call(libc::SYS_acct, &[0])?;
    family("TASKSTATS").map(drop)
}

fn cachestat() -> Outcome {
    let file = fs::File::open("/facilities")?;
    let (range, mut result) = ([0u64; 2], [0u64; 5]);
    let arguments = [
        number(file.as_raw_fd()),
        address(&range),
        address_mut(&mut result),
        0,
    ];
    call(SYS_CACHESTAT, &arguments).map(drop)
}

const SYS_CACHESTAT: libc::c_long = 451;

fn kcmp() -> Outcome {
    let pid = usize::try_from(std::process::id()).map_err(io::Error::other)?;
    let equal = call(libc::SYS_kcmp, &[pid, pid, 0, 0, 0])?;
    ensure(equal == 0, "not equal to itself")
}

/// Without the system call ENOSYS, with it EBADF.
fn kexec() -> Outcome {
    let nothing = number(-1);
    netlink::present(call(
        libc::SYS_kexec_file_load,
        &[nothing, nothing, 0, 0, 0],
    ))
}
