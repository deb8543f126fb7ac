//! The parent's NSM, behind port 9001. Limits and time-out are those of AWS's driver (Linux
//! drivers/misc/nsm.c).
#![forbid(unsafe_code)]

use crate::{frame, parent};
use cloister_roles::nsm::MAX_RESPONSE_BYTES;
use std::io;
use std::time::Duration;
use vsock::VsockStream;

const TIMEOUT: Duration = Duration::from_secs(120);

/// The stream to the parent's NSM: one request, one response, strictly alternating. Connects on the
/// first call, and again on the next one after a failure. A failed request is never sent a second
/// time: extending a PCR twice is not the same as once.
#[derive(Default)]
pub struct Channel {
    stream: Option<VsockStream>,
}

impl Channel {
    /// Sends the CBOR bytes of a request and returns those of the response.
    pub fn call(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => parent::connect(parent::NSM_PORT, Some(TIMEOUT))?,
        };
        frame::write(&stream, request)?;
        let response = frame::read(&stream, MAX_RESPONSE_BYTES)?;
        self.stream = Some(stream);
        Ok(response)
    }
}
