//! Where the parent is: its CID and the ports that every enclave's parent serves.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;
use vsock::VsockStream;

/// The parent's CID, as on AWS. The vsock card answers for it, and for 2.
const PARENT_CID: u32 = 3;

pub const HEARTBEAT_PORT: u32 = 9000;
pub const NSM_PORT: u32 = 9001;
pub const AGENT_PORT: u32 = 9002;

/// Connects to a port of the parent. The kernel gives up after 2 s. Reads and writes on the
/// stream fail after `timeout`; without one they may block indefinitely.
pub fn connect(port: u32, timeout: Option<Duration>) -> io::Result<VsockStream> {
    let stream = VsockStream::connect_with_cid_port(PARENT_CID, port)?;
    stream.set_read_timeout(timeout)?;
    stream.set_write_timeout(timeout)?;
    Ok(stream)
}
