//! The guest's HTTP API, where the manifest asks for it: the listeners, which outlive the process behind
//! them.
#![forbid(unsafe_code)]

use crate::companions::{self, Companion};
use cloister_roles::{API, API_PORT, API_SOCKET};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// The process's user and group.
const ID: u32 = 2_147_419_005;

/// Makes the listeners, and says how the process starts. `app_uid` is the one user that it must not have.
pub fn prepare(app_uid: u32) -> io::Result<Companion> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, API_PORT))?;
    let unix = listen(Path::new(API_SOCKET))?;
    Ok(Companion {
        name: API,
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
