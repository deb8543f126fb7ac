//! The NSM's device, from the kernel's driver or from the agent: Linux drivers/misc/nsm.c.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

pub const DEVICE: &str = "/dev/nsm";
/// Largest request in bytes.
pub const MAX_REQUEST_BYTES: usize = 0x1000;
/// Largest response in bytes.
pub const MAX_RESPONSE_BYTES: usize = 0x3000;

/// `_IOWR(0x0a, 0, struct nsm_raw)` of Linux include/uapi/linux/nsm.h.
const NSM_IOCTL_RAW: libc::Ioctl = 0xc020_0a00;

/// `struct nsm_raw`: where the request lies, and where the response goes.
#[repr(C)]
struct NsmRaw {
    request: libc::iovec,
    response: libc::iovec,
}

/// Opens the device; `None` where there is none: /dev holds only what the kernel and the agent put there.
///
/// # Errors
/// Those of open(2), but for `NotFound`.
pub fn open() -> io::Result<Option<File>> {
    match File::options().read(true).write(true).open(DEVICE) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Sends the CBOR bytes of a request to the device and returns those of the response.
///
/// # Errors
/// What the driver reports: `EMSGSIZE` for a request that is too long.
pub fn call(device: &File, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut response = vec![0; MAX_RESPONSE_BYTES];
    let mut message = NsmRaw {
        request: libc::iovec {
            iov_base: request.as_ptr().cast_mut().cast(),
            iov_len: request.len(),
        },
        response: libc::iovec {
            iov_base: response.as_mut_ptr().cast(),
            iov_len: response.len(),
        },
    };
    // SAFETY: the driver reads the request and writes at most iov_len bytes of the response, and both
    // outlive the call; it leaves the number of bytes in iov_len.
    if unsafe { libc::ioctl(device.as_raw_fd(), NSM_IOCTL_RAW, &raw mut message) } < 0 {
        return Err(io::Error::last_os_error());
    }
    response.truncate(message.response.iov_len);
    Ok(response)
}
