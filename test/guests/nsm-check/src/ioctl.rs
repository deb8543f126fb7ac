//! The bare ioctl, 0xC0200A00 over two iovecs: the one module with `unsafe`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

pub const NSM: libc::Ioctl = 0xc020_0a00;

/// Two iovecs: request and response.
#[repr(C)]
struct Message {
    request: libc::iovec,
    response: libc::iovec,
}

/// Sends `request` and returns the length that the driver reports; `response` has the room.
pub fn send(
    device: &File,
    number: libc::Ioctl,
    request: &[u8],
    response: &mut [u8],
) -> io::Result<usize> {
    let mut message = Message {
        request: libc::iovec {
            iov_base: request.as_ptr().cast_mut().cast(),
            iov_len: request.len(),
        },
        response: libc::iovec {
            iov_base: response.as_mut_ptr().cast(),
            iov_len: response.len(),
        },
    };
    // SAFETY: the driver reads the request, writes at most iov_len bytes of the response and the
    // message itself; all three outlive the call.
    match unsafe { libc::ioctl(device.as_raw_fd(), number, &raw mut message) } {
        0 => Ok(message.response.iov_len),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends an argument that does not point to memory of ours.
pub fn send_nowhere(device: &File) -> io::Result<()> {
    // SAFETY: the driver must not trust the address; page 0 is never mapped.
    match unsafe { libc::ioctl(device.as_raw_fd(), NSM, 8) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
