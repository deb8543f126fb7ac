//! Starts the card: sockets first, then the sandbox, then the VMM's memory.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cloister_confine::descriptors::allow_descriptors;
use cloister_confine::program::Program;
use cloister_vhost_user::watchdog::watch;
use cloister_vsock::arguments::{Arguments, Endpoint, USAGE};
use cloister_vsock::backend::{Card, start_daemon};
use cloister_vsock::channel::Channel;
use cloister_vsock::device::{Device, DeviceOptions};
use cloister_vsock::host_vsock::HostVsock;
use cloister_vsock::inherited::take_inherited;
use cloister_vsock::kernel::{Link, attach};
use cloister_vsock::private_root;
use cloister_vsock::reactor::Reactor;
use cloister_vsock::sandbox::{self, Reach};
use rustix::process::chdir;
use serde_json::json;
use vhost::vhost_user::Listener;

/// Descriptors other than connections: sockets, queues, epoll sets.
const OWN_DESCRIPTORS: u64 = 64;
/// How long the host may take to read what a guest left when its VMM went.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let parse = |words| Arguments::parse(words);
    let program = Program {
        name: "cloister-vsock",
        usage: USAGE,
        parse,
        run,
    };
    program.main()
}

fn run(arguments: Arguments) -> io::Result<()> {
    // Inherited descriptors are taken before any other is opened.
    let channel = arguments.channel.map(take_inherited).transpose()?;
    let kernel = arguments.kernel.map(take_inherited).transpose()?;
    if arguments.host_vsock {
        HostVsock::probe().map_err(no_loopback)?;
    }
    let mut vmm_listener = listen_for_vmm(&arguments.vhost_user)?;
    allow_descriptors(arguments.limits.connections as u64 + OWN_DESCRIPTORS)?;
    let reactor = Reactor::new()?;
    let reactor_fd = reactor.as_fd().try_clone_to_owned()?;
    let bell = reactor.bell()?;
    let mut channel = channel
        .map(|fd| Channel::new(UnixStream::from(fd), &reactor))
        .transpose()?;
    let listener = bind(&arguments.uds_path)?;
    let (uds_path, has_private_root) = enter_directory(&arguments.uds_path)?;
    let kernel = kernel
        .map(|device| join_kernel(device, arguments.guest_cid, &mut channel))
        .transpose()?;
    let device = Device::new(
        DeviceOptions {
            guest_cid: arguments.guest_cid,
            listener,
            uds_path,
            policy: arguments.policy,
            limits: arguments.limits,
            host_vsock: arguments.host_vsock,
            kernel,
        },
        &reactor,
    )?;
    let reach = if arguments.host_vsock {
        Reach::UnixAndVsock
    } else {
        Reach::UnixSockets
    };
    let report = sandbox::enter(reach, has_private_root)?;
    let card = Card::new(device, reactor, channel, || std::process::exit(0));
    watch("cloister-vsock", card.pulse(), bell)?;
    let card = Arc::new(Mutex::new(card));
    lock(&card).tell(&json!({ "event": "ready", "sandbox": report }));
    loop {
        serve_vmm(&card, &reactor_fd, &mut vmm_listener)?;
        if arguments.exit_on_disconnect {
            return Ok(());
        }
    }
}

/// What the keeper passes on when the module went since it looked.
fn no_loopback(error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("this host has no AF_VSOCK loopback: {error}"),
    )
}

/// Takes the enclave's CID on this host. The keeper hears when that is taken: only the kernel knows.
fn join_kernel(device: OwnedFd, guest_cid: u64, channel: &mut Option<Channel>) -> io::Result<Link> {
    let mut link = Link::new()?;
    match attach(device, guest_cid, &mut link) {
        Ok(()) => Ok(link),
        Err(error) => {
            if let Some(channel) = channel.as_mut().filter(|_| is_taken(&error)) {
                channel.tell(&json!({ "event": "cidInUse", "cid": guest_cid }));
            }
            let what = format!("/dev/vhost-vsock, CID {guest_cid}: {error}");
            Err(io::Error::new(error.kind(), what))
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// Serves one VMM until it goes, and the host until it has read what the guest left.
fn serve_vmm(
    card: &Arc<Mutex<Card>>,
    reactor_fd: &OwnedFd,
    listener: &mut Listener,
) -> io::Result<()> {
    let mut daemon = start_daemon(card, reactor_fd)?;
    daemon
        .start(listener)
        .map_err(|error| io::Error::other(error.to_string()))?;
    lock(card).tell(&json!({ "event": "connected" }));
    // However the VMM goes, the card goes on; a broken protocol ends that VMM's connection only.
    let outcome = daemon.wait();
    lock(card).disconnect_vmm();
    lock(card).tell(&json!({
        "event": "disconnected",
        "error": outcome.err().map(|error| error.to_string()),
    }));
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    while lock(card).is_draining() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    drop(daemon);
    lock(card).forget_daemon();
    Ok(())
}

fn listen_for_vmm(endpoint: &Endpoint) -> io::Result<Listener> {
    match endpoint {
        Endpoint::Path(path) => Ok(Listener::from(bind(path)?)),
        Endpoint::Descriptor(number) => {
            Ok(Listener::from(UnixListener::from(take_inherited(*number)?)))
        }
    }
}

/// Works in the directory of the host's sockets, as its root where the host allows that; returns
/// their path as seen from there, and whether it is the root.
fn enter_directory(uds_path: &Path) -> io::Result<(PathBuf, bool)> {
    let name = uds_path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    if let Some(directory) = uds_path.parent().filter(|it| !it.as_os_str().is_empty()) {
        chdir(directory)?;
    }
    Ok((
        name.into(),
        private_root::enter(private_root::Network::Own).is_ok(),
    ))
}

/// Listens at a path, in place of a socket that an earlier card has left there.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// The card's state stays usable after a panic elsewhere; none is expected.
fn lock(card: &Mutex<Card>) -> std::sync::MutexGuard<'_, Card> {
    card.lock().unwrap_or_else(PoisonError::into_inner)
}
