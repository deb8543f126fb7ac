//! A socket that listens on 127.0.0.1, also where nobody has brought up `lo`: AWS's init does not. The one module
//! with `unsafe`.

use cloister_kms::failure::{Code, Failure};
use std::io::{self, ErrorKind};
use std::mem;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;

/// Port 0 takes any.
pub fn listen(port: u16) -> Result<TcpListener, Failure> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let bound = match bind() {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            bring_up().and_then(|()| bind())
        }
        other => other,
    };
    bound.map_err(|error| {
        let message = format!("cannot listen on 127.0.0.1 port {port}: {error}");
        Failure::new(Code::Argument, message)
    })
}

/// Sets IFF_UP on `lo`; the kernel then gives it 127.0.0.1.
fn bring_up() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    // SAFETY: both calls take a valid ifreq that outlives them; the first sets ifru_flags.
    let result = unsafe {
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) < 0 {
            return Err(io::Error::last_os_error());
        }
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
