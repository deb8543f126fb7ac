//! The system calls that a sandbox leaves (seccomp). A call outside kills the process.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use crate::sandbox::Reach;
use crate::vsock_socket;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls allowed to all, whatever their arguments.
const ALLOWED: &[i64] = &[
    // events
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_poll,
    libc::SYS_ppoll,
    // sockets and events' bytes
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_getsockopt,
    // memory
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // time, and how a process ends
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls of those that have threads, and maybe a VMM.
const OF_CARDS: &[i64] = &[
    libc::SYS_eventfd2,
    libc::SYS_timerfd_settime,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_readv,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
];

/// Several reads or writes at once, of descriptors that a process has.
const OF_PACKETS: &[i64] = &[libc::SYS_io_submit, libc::SYS_io_getevents];

/// What fcntl(2) may do. Not among them: to name an owner of a descriptor, whom the kernel then sends signals.
const OF_DESCRIPTORS: &[i32] = &[
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_DUPFD_CLOEXEC,
];

/// Calls that libc tries and does without: clone3, whose flags no filter can see (it then uses
/// clone), and opening `/proc/sys/vm/overcommit_memory` before it returns heap to the kernel.
const DECLINED: &[i64] = &[libc::SYS_clone3, libc::SYS_openat];

/// Calls that could replace the memory of `vsock_socket`'s name.
const OF_MEMORY: &[i64] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
];

/// Two filters, of which the stricter answer counts. No filter sees which name bind(2) gives: where
/// it could be that of any file its user may make, it is declined, and the card does without.
pub fn restrict_system_calls(reach: Reach, may_bind: bool) -> Result<(), seccompiler::Error> {
    let mut declined: Rules = DECLINED.iter().map(|call| (*call, Vec::new())).collect();
    if !may_bind {
        declined.insert(libc::SYS_bind, Vec::new());
    }
    if reach == Reach::VsockSocket {
        declined.extend(OF_MEMORY.iter().map(|call| (*call, Vec::new())));
    }
    let decline = SeccompAction::Errno(libc::ENOSYS as u32);
    for filter in [
        compile(declined, SeccompAction::Allow, decline)?,
        compile(
            allowed_calls(reach)?,
            SeccompAction::KillProcess,
            SeccompAction::Allow,
        )?,
    ] {
        apply_filter(&filter)?;
    }
    Ok(())
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    action: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, action, arch)?.try_into()
}

fn allowed_calls(reach: Reach) -> Result<Rules, seccompiler::BackendError> {
    // A declined call passes this filter, as death would be the stricter answer.
    let mut rules: Rules = ALLOWED
        .iter()
        .chain(DECLINED)
        .map(|call| (*call, Vec::new()))
        .collect();
    if reach != Reach::Nothing {
        rules.insert(libc::SYS_socket, allowed_sockets(reach)?);
        rules.insert(libc::SYS_connect, allowed_connections(reach)?);
        rules.insert(libc::SYS_bind, Vec::new()); // to a name in the abstract namespace
    }
    rules.insert(libc::SYS_fcntl, allowed_commands(reach)?);
    // Its own threads: others may have the same user.
    let is_own = is_argument(0, std::process::id().into())?;
    rules.insert(libc::SYS_tgkill, vec![is_own]);
    if reach.has_internet() {
        rules.insert(libc::SYS_setsockopt, Vec::new());
        rules.insert(libc::SYS_getsockname, Vec::new()); // of what a client has connected to
    }
    // Memory never becomes executable.
    let executable = libc::PROT_EXEC as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let is_data = compare(2, SeccompCmpOp::MaskedEq(executable), 0)?;
        rules.insert(call, vec![SeccompRule::new(vec![is_data])?]);
    }
    if !matches!(reach, Reach::Parent | Reach::VsockSocket) {
        // Of streams: a device that a card holds, such as /dev/vhost-vsock, was set up before.
        rules.insert(libc::SYS_ioctl, vec![is_argument(1, libc::FIONBIO)?]);
    }
    if reach == Reach::Parent {
        rules.extend(OF_PACKETS.iter().map(|call| (*call, Vec::new())));
    }
    if reach == Reach::VsockSocket {
        rules.insert(libc::SYS_sendmsg, Vec::new());
    } else if !reach.is_in_guest() {
        rules.extend(OF_CARDS.iter().map(|call| (*call, Vec::new())));
        // Of threads: that it dies with its keeper and is not traced stays as it is.
        rules.insert(
            libc::SYS_prctl,
            vec![is_argument(0, libc::PR_SET_NAME as u64)?],
        );
        // Threads, but no processes.
        let thread = libc::CLONE_THREAD as u64;
        let is_thread = compare(0, SeccompCmpOp::MaskedEq(thread), thread)?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![is_thread])?]);
    }
    Ok(rules)
}

/// Families and types of the sockets that a card may make.
fn sockets_of(reach: Reach) -> &'static [(i32, i32)] {
    use libc::{AF_INET, AF_INET6, AF_UNIX, AF_VSOCK, SOCK_DGRAM, SOCK_STREAM};
    match reach {
        Reach::Nothing => &[],
        Reach::UnixSockets | Reach::VsockSocket => &[(AF_UNIX, SOCK_STREAM)],
        Reach::Parent => &[(AF_VSOCK, SOCK_STREAM)],
        Reach::UnixAndVsock => &[(AF_UNIX, SOCK_STREAM), (AF_VSOCK, SOCK_STREAM)],
        Reach::Internet | Reach::Programs => &[
            (AF_INET, SOCK_STREAM),
            (AF_INET6, SOCK_STREAM),
            (AF_INET, SOCK_DGRAM),
            (AF_INET6, SOCK_DGRAM),
        ],
    }
}

/// Where connect(2) may go: anywhere its sockets can reach (no rule), or to one name that no call can change.
fn allowed_connections(reach: Reach) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    if reach != Reach::VsockSocket {
        return Ok(Vec::new());
    }
    let (name, length) = vsock_socket::name();
    let pointer = SeccompCmpArgLen::Qword;
    let is_name = SeccompCondition::new(1, pointer, SeccompCmpOp::Eq, name as u64)?;
    let is_whole = compare(2, SeccompCmpOp::Eq, length.into())?;
    Ok(vec![SeccompRule::new(vec![is_name, is_whole])?])
}

fn allowed_sockets(reach: Reach) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let kind = !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u32;
    sockets_of(reach)
        .iter()
        .map(|(family, of_kind)| {
            let is_family = compare(0, SeccompCmpOp::Eq, *family as u64)?;
            let is_kind = compare(1, SeccompCmpOp::MaskedEq(kind.into()), *of_kind as u64)?;
            let mut conditions = vec![is_family, is_kind];
            if reach.has_internet() {
                // TCP and UDP are the defaults: no ping sockets, no UDP-Lite, no MPTCP.
                conditions.push(compare(2, SeccompCmpOp::Eq, 0)?);
            }
            SeccompRule::new(conditions)
        })
        .collect()
}

/// Of fcntl(2). A part in the guest has a user of its own, and nobody whom it could signal: no rule.
fn allowed_commands(reach: Reach) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let commands = if reach.is_in_guest() {
        &[]
    } else {
        OF_DESCRIPTORS
    };
    commands
        .iter()
        .map(|it| is_argument(1, *it as u64))
        .collect()
}

fn is_argument(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![compare(argument, SeccompCmpOp::Eq, value)?])
}

fn compare(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}
