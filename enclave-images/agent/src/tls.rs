//! Attested TLS in front of the app's ports, where the manifest asks for it: the listeners, which outlive
//! the process behind them.
#![forbid(unsafe_code)]

use crate::companions::{self, Companion};
use crate::declared::ServedTls;
use crate::kernel;
use crate::vsock_listener;
use cloister_roles::TLS;
use cloister_roles::tls_port::TlsPort;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::process::Command;
use vsock::VsockListener;

/// The process's user and group.
const ID: u32 = 2_147_419_007;

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
        name: TLS,
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
        vsock: vsock_listener::bind(served.port.into())?,
        tcp: TcpListener::bind((Ipv4Addr::LOCALHOST, served.port))?,
        to: served.to,
    })
}

/// The process gets the listeners under their numbers, and an argument for each port.
fn equip(command: &mut Command, listeners: &[Listeners]) {
    let mut kept = Vec::new();
    for Listeners { vsock, tcp, to } in listeners {
        let (vsock, tcp, to) = (vsock.as_raw_fd(), tcp.as_raw_fd(), *to);
        command.arg(TlsPort { vsock, tcp, to }.to_string());
        kept.extend([vsock, tcp]);
    }
    kernel::keep_open_on_exec(command, kept);
}
