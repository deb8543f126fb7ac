//! The guest's HTTP API, where the manifest asks for it: the listeners, which outlive the process behind
//! them, and the role of that process.
#![forbid(unsafe_code)]

use crate::companions::{self, Companion};
use crate::nsm;
use cloister_guest_api::desk::AskNsm;
use cloister_guest_api::{PORT, SOCKET};
use std::convert::Infallible;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// The process's first argument, by which it is known.
pub const NAME: &str = "cloister-api";
/// Its user and group.
const ID: u32 = 2_147_419_005;
/// Both listeners' connections, and what the runtime needs.
const MAX_DESCRIPTORS: u64 = 256;

/// Makes the listeners, and says how the process starts. `app_uid` is the one user that it must not have.
pub fn prepare(app_uid: u32) -> io::Result<Companion> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?;
    let unix = listen(Path::new(SOCKET))?;
    Ok(Companion {
        name: NAME,
        user: companions::user(ID, app_uid),
        farewell: "the guest's API has ended: its requests fail until it is back",
        equip: Box::new(move |command| equip(command, &tcp, &unix)),
    })
}

/// For every user to connect to. What the image has there is not what was declared.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    let directory = socket.parent().unwrap_or(socket);
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// The process gets the listeners as descriptors 0 and 1.
fn equip(command: &mut Command, tcp: &TcpListener, unix: &UnixListener) -> io::Result<()> {
    command
        .stdin(OwnedFd::from(tcp.try_clone()?))
        .stdout(OwnedFd::from(unix.try_clone()?));
    Ok(())
}

/// Serves until something fails; returns the exit status.
pub fn run() -> i32 {
    let Err(error) = serve();
    eprintln!("cloister: {NAME}: {error}");
    1
}

fn serve() -> io::Result<Infallible> {
    companions::confine(NAME, MAX_DESCRIPTORS)?;
    let tcp = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let unix = UnixListener::from(io::stdout().as_fd().try_clone_to_owned()?);
    cloister_guest_api::run(tcp, unix, nsm_of_all_users()?)
}

/// `/dev/nsm` as every user has it, from the kernel's driver or from the agent.
pub fn nsm_of_all_users() -> io::Result<AskNsm> {
    let device = nsm::open_kernel_device()?.ok_or(ErrorKind::NotFound)?;
    Ok(Box::new(move |request| nsm::call_kernel(&device, request)))
}
