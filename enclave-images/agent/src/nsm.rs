//! The NSM: the kernel's where the machine has one, else the parent's, behind port 9001. Limits and
//! time-out are those of AWS's driver (Linux drivers/misc/nsm.c).
#![forbid(unsafe_code)]

use crate::{frame, kernel, parent};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::time::Duration;
use vsock::VsockStream;

pub const DEVICE: &str = "/dev/nsm";
/// Largest request in bytes.
pub const MAX_REQUEST_BYTES: usize = 0x1000;
/// Largest response in bytes.
pub const MAX_RESPONSE_BYTES: usize = 0x3000;
const TIMEOUT: Duration = Duration::from_secs(120);

/// The device of the kernel's driver; `None` where the driver has found none: /dev holds only what
/// the kernel has put there.
pub fn open_kernel_device() -> io::Result<Option<File>> {
    match File::options().read(true).write(true).open(DEVICE) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Sends the CBOR bytes of a request to the kernel's device and returns those of the response.
pub fn call_kernel(device: &File, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut response = vec![0; MAX_RESPONSE_BYTES];
    let length = kernel::ask_nsm(device, request, &mut response)?;
    response.truncate(length);
    Ok(response)
}

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
