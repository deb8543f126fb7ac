//! Listeners for many clients at once.
#![forbid(unsafe_code)]

use nix::sys::socket::{Backlog, listen};
use std::io;
use vsock::{VMADDR_CID_ANY, VsockListener};

/// Clients that wait to be accepted: as many as the network card has flows for published ports.
const BACKLOG: i32 = 1024;

/// Listens on a port of the guest. The kernel refuses clients beyond the backlog at once, and the crate's has room for
/// 128.
pub fn bind(port: u32) -> io::Result<VsockListener> {
    let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, port)?;
    listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}
