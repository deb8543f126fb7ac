//! What a process does before and after it confines itself.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddr;

use cloister_confine::private_root::{self, Network};
use cloister_confine::sandbox::{self, Reach};
use cloister_confine::vsock_socket;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket,
    socket_with,
};

/// The process id of the test.
pub const TEST: &str = "CLOISTER_CONFINE_TEST";
/// The status of a process that could not have a root of its own.
const NO_ROOT: i32 = 9;
/// In the working directory.
const BOUND: &str = "bound.sock";

/// Goes on in a child with one thread, as a card has; the test runner's process ends as it does.
pub fn continue_alone() {
    // SAFETY: the test runner's other threads hold nothing that the child needs.
    let child = unsafe { libc::fork() };
    let Some(child) = rustix::process::Pid::from_raw(child) else {
        return;
    };
    let options = rustix::process::WaitOptions::empty();
    let (_, status) = rustix::process::waitpid(Some(child), options)
        .unwrap()
        .unwrap();
    if let Some(signal) = status.terminating_signal() {
        // SAFETY: ends this process.
        unsafe { libc::raise(signal) };
    }
    std::process::exit(status.exit_status().unwrap());
}

pub fn the_test() -> u32 {
    std::env::var(TEST).unwrap().parse().unwrap()
}

/// `reach`, or `own-root`, `host-root`, or one of these and a reach as in `own-root+sockets`.
pub fn enter(reach: &str) {
    let (root, reach) = reach.split_once('+').unwrap_or((reach, reach));
    let network = match root {
        "own-root" => Some(Network::Own),
        "host-root" => Some(Network::Host),
        _ => None,
    };
    if network.is_some_and(|it| private_root::enter(it).is_err()) {
        std::process::exit(NO_ROOT);
    }
    let reach = match reach {
        "sockets" => Reach::UnixSockets,
        "vsock" => Reach::UnixAndVsock,
        "internet" => Reach::Internet,
        "parent" => Reach::Parent,
        "programs" => Reach::Programs,
        "dialler" => Reach::VsockSocket,
        "nothing" => Reach::Nothing,
        _ => return,
    };
    sandbox::enter(reach, network.is_some()).unwrap();
}

/// Where the test with this process id listens.
pub fn abstract_name(pid: u32) -> UnixAddr {
    UnixAddr::from_abstract_name(format!("cloister-confine-{pid}")).unwrap()
}

pub fn connect_to_vsock_socket() -> io::Result<()> {
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    vsock_socket::connect(&socket)
}

pub fn map_memory() -> io::Result<()> {
    // SAFETY: new memory, which nothing uses.
    let mapped = unsafe {
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0)
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether a signal may be sent there; none is.
pub fn signal_to(pid: u32) -> io::Result<()> {
    // SAFETY: signal 0 only asks.
    match unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// To whom the kernel sends signals about a descriptor.
pub fn name_owner(file: &File, pid: u32) -> io::Result<()> {
    // SAFETY: changes nothing in memory.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETOWN, pid) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub fn change_root() -> io::Result<()> {
    Ok(rustix::process::chroot(".")?)
}

pub fn vsock(kind: SocketType) -> std::io::Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    // A kernel without vsock refuses by itself, which is no death by the filter.
    let _ = socket_with(AddressFamily::VSOCK, kind, flags, None);
    Ok(())
}

pub fn bind_to_file() -> io::Result<()> {
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    Ok(bind(&socket, &SocketAddrUnix::new(BOUND)?)?)
}

/// To a port where something may listen or not: only whether that may be tried counts.
pub fn dial(kind: SocketType, protocol: Option<Protocol>) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, kind, protocol)?;
    match connect(&socket, &SocketAddr::from(([127, 0, 0, 1], 9))) {
        Ok(()) | Err(Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub fn set_nonblocking(file: &File) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(file, true)?)
}

pub fn serve() -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0)))?)
}
