//! The proxy to what `egress` allows, where the manifest asks for it: the listener, which outlives the process behind
//! it, and the variables by which programs find it.
#![forbid(unsafe_code)]

use crate::companions::{self, Companion, file_of};
use crate::manifest::Manifest;
use cloister_egress_policy::Policy;
use cloister_roles::{PROXY, PROXY_PORT};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Command;

/// The process's user and group.
const ID: u32 = 2_147_419_011;
/// Programs differ in which case they read; curl takes http_proxy in lower case alone.
const PROXY_VARIABLES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Makes the listener, and says how the process starts. `app_uid` is the one user that it must not have.
pub fn prepare(policy: &Policy, app_uid: u32) -> io::Result<Companion> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PROXY_PORT))?;
    let policy = serde_json::to_vec(policy)?;
    Ok(Companion {
        name: PROXY,
        user: companions::user(ID, app_uid),
        farewell: "the proxy has ended: its connections are gone, and new ones wait until it is back",
        equip: Box::new(move |command| equip(command, &listener, &policy)),
    })
}

/// Names the proxy to the app, where the manifest asks for it; variables of the image stay.
pub fn name(manifest: &mut Manifest) {
    let declared = manifest.declared.as_ref();
    if !declared.is_some_and(|it| it.proxy && it.egress.is_some()) {
        return;
    }
    let url = format!("http://{}:{PROXY_PORT}", Ipv4Addr::LOCALHOST);
    for variable in PROXY_VARIABLES {
        manifest.set_default(variable, (&url).into());
    }
    for variable in EXCEPTIONS {
        manifest.set_default(variable, "localhost,127.0.0.1,::1".into());
    }
}

/// The process gets the listener as descriptor 0 and the policy as descriptor 1.
fn equip(command: &mut Command, listener: &TcpListener, policy: &[u8]) -> io::Result<()> {
    command
        .stdin(OwnedFd::from(listener.try_clone()?))
        .stdout(file_of("policy", policy)?);
    Ok(())
}
