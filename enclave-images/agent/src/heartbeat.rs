//! The sign of life that the parent waits for (AWS's init: one byte 0xB7 to port 9000, and back).
#![forbid(unsafe_code)]

use crate::parent;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

const HEARTBEAT: u8 = 0xb7;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends the heartbeat and reads it back.
///
/// # Errors
/// `InvalidData` when another byte comes back, and what the stream reports.
pub fn exchange() -> io::Result<()> {
    let mut stream = parent::connect(parent::HEARTBEAT_PORT, Some(TIMEOUT))?;
    stream.write_all(&[HEARTBEAT])?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    match answer {
        [HEARTBEAT] => Ok(()),
        [other] => Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("answered {other:#04x}"),
        )),
    }
}
