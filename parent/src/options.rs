//! vsock's own socket options (linux/vm_sockets.h), and the one that tells a socket's family. Values
//! are kept and given back; the streams' buffers are the vsock card's.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;

use crate::address::{AF_VSOCK, ANY};
use crate::call::{Answer, Call, DONE, Outcome};
use crate::caller::{share_descriptor, write_value};
use crate::kernel::read_memory;
use crate::ports::Ports;
use crate::sockets::Sockets;

/// The level of these options is the family's number.
pub const LEVEL: u32 = libc::AF_VSOCK as u32;

/// `BUFFER_MIN_SIZE` is between the two.
const BUFFER_SIZE: i32 = 0;
const BUFFER_MAX_SIZE: i32 = 2;
const PEER_HOST_VM_ID: i32 = 3;
const TRUSTED: i32 = 5;
const CONNECT_TIMEOUT_OLD: i32 = 6;
const CONNECT_TIMEOUT_NEW: i32 = 8;

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// `struct timeval` of a 64-bit machine.
const TIMEVAL_BYTES: usize = 16;

/// Linux's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `BUFFER_SIZE`, `BUFFER_MIN_SIZE` and `BUFFER_MAX_SIZE`, in bytes.
    pub buffers: [u64; 3],
    pub connect_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            buffers: [256 << 10, 128, 256 << 10],
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }
}

/// getsockopt(2) of a level that the filter reports.
///
/// # Errors
/// `ENOPROTOOPT`, `EFAULT`, `EINVAL`
pub fn get(call: &Call, sockets: &mut Sockets, ports: &Ports) -> Outcome {
    let Ok(fd) = share_descriptor(call) else {
        return Ok(Answer::Pass);
    };
    let settings = match sockets.find(fd.as_fd()) {
        Some(socket) => socket.settings,
        None if ports.is_accepted(fd.as_fd()) => Settings::default(),
        None => return Ok(Answer::Pass),
    };
    if call.int(1) == libc::SOL_SOCKET {
        write_value(call, (3, 4), &i32::from(AF_VSOCK).to_ne_bytes())?;
        return DONE;
    }
    let value = match call.int(2) {
        name @ BUFFER_SIZE..=BUFFER_MAX_SIZE => {
            settings.buffers[name as usize].to_ne_bytes().to_vec()
        }
        PEER_HOST_VM_ID => ANY.to_ne_bytes().to_vec(),
        TRUSTED => 1_i32.to_ne_bytes().to_vec(),
        CONNECT_TIMEOUT_OLD | CONNECT_TIMEOUT_NEW => encode_timeval(settings.connect_timeout),
        _ => return Err(Errno::NOPROTOOPT),
    };
    write_value(call, (3, 4), &value)?;
    DONE
}

/// setsockopt(2) of vsock's level.
///
/// # Errors
/// `ENOPROTOOPT`, `EFAULT`, `EINVAL`, `EDOM` for a negative time.
pub fn set(call: &Call, sockets: &mut Sockets, ports: &Ports) -> Outcome {
    let Ok(fd) = share_descriptor(call) else {
        return Ok(Answer::Pass);
    };
    let mut unkept = Settings::default();
    let settings = match sockets.find(fd.as_fd()) {
        Some(socket) => &mut socket.settings,
        None if ports.is_accepted(fd.as_fd()) => &mut unkept,
        None => return Ok(Answer::Pass),
    };
    match call.int(2) {
        name @ BUFFER_SIZE..=BUFFER_MAX_SIZE => {
            settings.buffers[name as usize] = u64::from_ne_bytes(read_value(call)?);
            let [size, min, max] = settings.buffers;
            settings.buffers[0] = size.max(min).min(max); // as vsock_update_buffer_size
        }
        CONNECT_TIMEOUT_OLD | CONNECT_TIMEOUT_NEW => {
            settings.connect_timeout = decode_timeval(read_value(call)?)?;
        }
        _ => return Err(Errno::NOPROTOOPT),
    }
    DONE
}

fn read_value<const N: usize>(call: &Call) -> Result<[u8; N], Errno> {
    if usize::try_from(call.int(4)).is_ok_and(|length| length >= N) {
        let mut bytes = [0; N];
        read_memory(call.thread, call.pointer(3), &mut bytes)?;
        return Ok(bytes);
    }
    Err(Errno::INVAL)
}

fn encode_timeval(time: Duration) -> Vec<u8> {
    let parts = [time.as_secs(), u64::from(time.subsec_micros())];
    parts.iter().flat_map(|part| part.to_ne_bytes()).collect()
}

/// Zero means the default, as Linux has it.
fn decode_timeval(bytes: [u8; TIMEVAL_BYTES]) -> Result<Duration, Errno> {
    let part = |at: usize| i64::from_ne_bytes(std::array::from_fn(|index| bytes[at + index]));
    let seconds = u32::try_from(part(0)).map_err(|_| Errno::DOM)?;
    let micros = u32::try_from(part(8)).map_err(|_| Errno::DOM)?;
    if micros >= 1_000_000 {
        return Err(Errno::DOM);
    }
    let time = Duration::new(seconds.into(), micros * 1000);
    Ok(if time.is_zero() {
        DEFAULT_CONNECT_TIMEOUT
    } else {
        time
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let time = Duration::from_millis(2500);
        let bytes = encode_timeval(time).try_into().unwrap();
        assert_eq!(decode_timeval(bytes), Ok(time));
        assert_eq!(decode_timeval([0; 16]), Ok(DEFAULT_CONNECT_TIMEOUT));
        assert_eq!(decode_timeval([0xff; 16]), Err(Errno::DOM));
    }
}
