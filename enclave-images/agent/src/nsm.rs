//! The stream to the parent's NSM (port 9001): one request, one response, strictly alternating.
//! Limits and time-out are those of AWS's driver (Linux drivers/misc/nsm.c).
#![forbid(unsafe_code)]

use crate::{frame, parent};
use std::io;
use std::path::Path;
use std::time::Duration;
use vsock::VsockStream;

/// Largest request in bytes.
pub const MAX_REQUEST_BYTES: usize = 0x1000;
/// Largest response in bytes.
pub const MAX_RESPONSE_BYTES: usize = 0x3000;
const TIMEOUT: Duration = Duration::from_secs(120);

/// Whether AWS's driver has found an NSM device, in a machine that was given one: /dev holds only
/// what the kernel has put there. Two of them would be one too many.
pub fn is_offered_by_kernel() -> bool {
    Path::new("/dev/nsm").exists()
}

/// Connects on the first call, and again on the next one after a failure. A failed request is
/// never sent a second time: extending a PCR twice is not the same as once.
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
