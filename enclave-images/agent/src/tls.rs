//! Attested TLS in front of the app's ports, where the manifest asks for it: the listeners, which outlive
//! the process behind them, and the role of that process.
#![forbid(unsafe_code)]

use crate::companions::{self, Companion};
use crate::declared::ServedTls;
use crate::{api, kernel, netd};
use cloister_edge::Served;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::Command;
use vsock::{VMADDR_CID_ANY, VsockListener};

/// The process's first argument, by which it is known.
pub const NAME: &str = "cloister-tls";
/// Its user and group.
const ID: u32 = 2_147_419_007;
/// A client's connection, and one to the program for each of its requests.
const MAX_DESCRIPTORS: u64 = 8192;

/// What listens on one port.
struct Listeners {
    vsock: VsockListener,
    tcp: TcpListener,
    to: u16,
}

/// Makes the listeners, and says how the process starts. `app_uid` is the one user that it must not have.
pub fn prepare(ports: &[ServedTls], app_uid: u32) -> io::Result<Companion> {
    let listeners: Vec<Listeners> = ports.iter().map(listen).collect::<io::Result<_>>()?;
    Ok(Companion {
        name: NAME,
        user: companions::user(ID, app_uid),
        farewell: "attested TLS has ended: its connections are gone, and new ones wait for another key",
        equip: Box::new(move |command| {
            equip(command, &listeners);
            Ok(())
        }),
    })
}

fn listen(served: &ServedTls) -> io::Result<Listeners> {
    Ok(Listeners {
        vsock: VsockListener::bind_with_cid_port(VMADDR_CID_ANY, served.port.into())?,
        tcp: TcpListener::bind((Ipv4Addr::LOCALHOST, served.port))?,
        to: served.to,
    })
}

/// The process gets the listeners under their numbers, and an argument `vsock:tcp:to` for each port.
fn equip(command: &mut Command, listeners: &[Listeners]) {
    let mut kept = Vec::new();
    for Listeners { vsock, tcp, to } in listeners {
        let (vsock, tcp) = (vsock.as_raw_fd(), tcp.as_raw_fd());
        command.arg(format!("{vsock}:{tcp}:{to}"));
        kept.extend([vsock, tcp]);
    }
    kernel::keep_open_on_exec(command, kept);
}

/// Serves until something fails; returns the exit status.
pub fn run() -> i32 {
    let Err(error) = serve();
    eprintln!("cloister: {NAME}: {error}");
    1
}

fn serve() -> io::Result<Infallible> {
    companions::confine(NAME, MAX_DESCRIPTORS)?;
    let arguments = std::env::args().skip(1);
    let ports = arguments
        .map(|it| inherit(&it))
        .collect::<io::Result<_>>()?;
    cloister_edge::run(ports, api::nsm_of_all_users()?, netd::buffer_bytes()?)
}

fn inherit(argument: &str) -> io::Result<Served> {
    let numbers: Vec<&str> = argument.split(':').collect();
    let [vsock, tcp, to] = numbers[..] else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let descriptor = |text: &str| -> io::Result<OwnedFd> {
        let number: RawFd = text.parse().map_err(io::Error::other)?;
        kernel::inherit(number)
    };
    Ok(Served {
        vsock: descriptor(vsock)?,
        tcp: descriptor(tcp)?.into(),
        to: to.parse().map_err(io::Error::other)?,
    })
}
