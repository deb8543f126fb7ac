//! Published ports, where the manifest declares any: the listener, which outlives the process behind it.
#![forbid(unsafe_code)]

use crate::companions::{self, Companion, file_of};
use crate::declared::Declared;
use crate::vsock_listener;
use cloister_ingress_wire::{GUEST_PORT, Ingress, Port};
use cloister_roles::INGRESS;
use std::io;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

/// The process's user and group.
const ID: u32 = 2_147_419_009;

/// The ports that the host may publish: those with attested TLS, which takes no header, and those of `ingress`.
pub fn published(declared: &Declared) -> Ingress {
    let served = declared
        .tls
        .iter()
        .filter_map(|it| NonZeroU16::new(it.port));
    let own = declared.ingress.iter().flat_map(|it| it.ports.clone());
    Ingress {
        ports: served.map(Port::tcp).chain(own).collect(),
    }
}

/// Makes the listener, and says how the process starts. `app_uid` is the one user that it must not have.
pub fn prepare(ingress: &Ingress, app_uid: u32) -> io::Result<Companion> {
    let listener = vsock_listener::bind(GUEST_PORT)?;
    let listener = listener.as_fd().try_clone_to_owned()?;
    let json = serde_json::to_vec(ingress)?;
    Ok(Companion {
        name: INGRESS,
        user: companions::user(ID, app_uid),
        farewell: "the way in to published ports has ended: connections are gone, and new ones wait until it is back",
        equip: Box::new(move |command| equip(command, &listener, &json)),
    })
}

/// The process gets the listener as descriptor 0 and the ports as descriptor 1.
fn equip(command: &mut Command, listener: &OwnedFd, json: &[u8]) -> io::Result<()> {
    let listener = listener.try_clone()?;
    command.stdin(listener).stdout(file_of("ingress", json)?);
    Ok(())
}
