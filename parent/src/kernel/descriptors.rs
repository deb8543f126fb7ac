//! One descriptor through a unix socket (unix(7), `SCM_RIGHTS`), without allocation: it is sent between
//! fork and exec.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use libc::c_int;

use super::checked;

/// Room for one descriptor in a control message.
#[repr(C, align(8))]
struct ControlBuffer([u8; 24]);

fn with_message<R>(
    control: &mut ControlBuffer,
    use_message: impl FnOnce(&mut libc::msghdr) -> R,
) -> R {
    let mut byte = [0_u8; 1];
    let mut part = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    // SAFETY: plain integers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of::<ControlBuffer>();
    use_message(&mut message)
}

pub(super) fn send_descriptor(channel: RawFd, descriptor: RawFd) -> io::Result<()> {
    let mut control = ControlBuffer([0; 24]);
    with_message(&mut control, |message| {
        // SAFETY: the control buffer is aligned for and as large as a header with one descriptor.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as usize;
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize;
            libc::CMSG_DATA(header)
                .cast::<RawFd>()
                .write_unaligned(descriptor);
            checked(libc::sendmsg(channel, message, 0) as c_int)?;
        }
        Ok(())
    })
}

pub(super) fn receive_descriptor(channel: &UnixStream) -> io::Result<OwnedFd> {
    let mut control = ControlBuffer([0; 24]);
    with_message(&mut control, |message| {
        // SAFETY: the kernel fills in what the message points to, all of which outlives the call;
        // a header of SCM_RIGHTS is followed by a descriptor that is ours from now on.
        unsafe {
            checked(libc::recvmsg(channel.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC) as c_int)?;
            let header = libc::CMSG_FIRSTHDR(message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let descriptor = libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned();
            Ok(OwnedFd::from_raw_fd(descriptor))
        }
    })
}
