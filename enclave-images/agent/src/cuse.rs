//! `/dev/nsm` from user space: a character device by CUSE whose ioctl is the NSM's (Linux
//! drivers/misc/nsm.c). Requests of all processes queue in the kernel and are answered one by one,
//! as AWS's driver does under its mutex.
#![forbid(unsafe_code)]

mod abi;
mod ioctl;
mod protocol;

use crate::event::Event;
use crate::nsm;
use cloister_roles::nsm::DEVICE;
use nix::errno::Errno;
use protocol::Action;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::thread;

/// Above what a message can be: the kernel wants room for `abi::MAX_TRANSFER_BYTES` and headers.
const BUFFER_BYTES: usize = 2 * abi::MAX_TRANSFER_BYTES as usize;
/// Any user in the enclave may ask the NSM, as with AWS's driver.
const MODE: u32 = 0o666;

/// Creates `/dev/nsm` and serves it from a thread of its own. The device is there on return.
pub fn offer(nsm: nsm::Channel) -> io::Result<()> {
    let mut cuse = File::options().read(true).write(true).open("/dev/cuse")?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let length = cuse.read(&mut buffer)?;
    let reply = protocol::initialise(&buffer[..length]).ok_or(ErrorKind::InvalidData)?;
    cuse.write_all(&reply)?;
    fs::set_permissions(DEVICE, Permissions::from_mode(MODE))?;
    let server = move || {
        let Err(error) = serve(cuse, buffer, nsm);
        crate::end(&Event::failed("serve /dev/nsm", &error.to_string()))
    };
    thread::Builder::new().name("nsm".into()).spawn(server)?;
    Ok(())
}

/// Never returns without an error: an enclave whose NSM is gone must not run on.
fn serve(
    mut cuse: File,
    mut buffer: Vec<u8>,
    mut nsm: nsm::Channel,
) -> io::Result<std::convert::Infallible> {
    loop {
        let Some(length) = unless_interrupted(cuse.read(&mut buffer))? else {
            continue;
        };
        let reply = match protocol::decide(&buffer[..length]) {
            Action::Reply(reply) => reply,
            Action::Nothing => continue,
            Action::Call(call) => match nsm.call(call.request) {
                Ok(response) => call.answer(&response),
                Err(error) => {
                    crate::console::say(&format!("nsm: {error}"));
                    call.fail(Errno::EIO)
                }
            },
        };
        unless_interrupted(cuse.write(&reply))?;
    }
}

/// `None` when the caller gave up meanwhile (ENOENT) or a signal came: neither ends the device.
fn unless_interrupted(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result.map_err(|error| (error.raw_os_error().map(Errno::from_raw), error)) {
        Ok(length) => Ok(Some(length)),
        Err((Some(Errno::ENOENT | Errno::EINTR | Errno::EAGAIN), _)) => Ok(None),
        Err((_, error)) => Err(error),
    }
}
