//! What the supervisor does inside the program that called: reads and writes its memory, shares its
//! descriptors. Each fails with the errno that the call then gets.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::address::{ADDRESS_BYTES, Address};
use crate::call::Call;
use crate::kernel::{read_memory, write_memory};

/// `PIDFD_THREAD` of linux/pidfd.h, since Linux 6.9.
const PIDFD_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL as u32);

/// The same open socket as the caller's descriptor.
///
/// # Errors
/// `EBADF`, or `EPERM` when the program does not let itself be looked into.
pub fn share_descriptor(call: &Call) -> Result<OwnedFd, Errno> {
    let pidfd = open_process(call.thread)?;
    pidfd_getfd(pidfd, call.descriptor(), PidfdGetfdFlags::empty())
}

fn open_process(thread: i32) -> Result<OwnedFd, Errno> {
    let of_thread = Pid::from_raw(thread).ok_or(Errno::SRCH)?;
    match pidfd_open(of_thread, PIDFD_THREAD) {
        Err(Errno::INVAL) => pidfd_open(process_of(thread)?, PidfdFlags::empty()),
        other => other,
    }
}

/// The process of a thread, on kernels whose pidfds name only processes.
fn process_of(thread: i32) -> Result<Pid, Errno> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| Errno::SRCH)?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Tgid:"))
        .and_then(|number| number.trim().parse().ok())
        .and_then(Pid::from_raw)
        .ok_or(Errno::SRCH)
}

/// Whether exec(2) closes the caller's descriptor.
#[must_use]
pub fn is_close_on_exec(call: &Call) -> bool {
    let path = format!("/proc/{}/fdinfo/{}", call.thread, call.descriptor());
    let flags = fs::read_to_string(path).ok().and_then(|text| {
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        i32::from_str_radix(flags.trim(), 8).ok()
    });
    flags.is_some_and(|flags| flags & libc::O_CLOEXEC != 0)
}

/// The vsock address that a call such as connect(2) gives; `None` for another family, and when the
/// memory cannot be read: the kernel finds its own words for that.
#[must_use]
pub fn read_address(call: &Call) -> Option<Address> {
    let mut bytes = [0; ADDRESS_BYTES];
    read_memory(call.thread, call.pointer(1), &mut bytes).ok()?;
    Address::decode(&bytes)
}

/// Answers a call such as accept(2), whose second argument is room for an address and whose third
/// points to its length; neither need be there for accept(2).
///
/// # Errors
/// `EFAULT`, `EINVAL` for a negative length.
pub fn write_address(call: &Call, address: Address) -> Result<(), Errno> {
    if call.pointer(1) == 0 {
        return Ok(());
    }
    write_value(call, (1, 2), &address.encode())?;
    write_memory(
        call.thread,
        call.pointer(2),
        &(ADDRESS_BYTES as u32).to_ne_bytes(),
    )
}

/// Writes as much of `value` as there is room for, as getsockopt(2) does. `places` are the numbers of
/// the arguments that point to the room and to its length, which is set to what was written.
///
/// # Errors
/// `EFAULT`, `EINVAL` for a negative length.
pub fn write_value(call: &Call, places: (usize, usize), value: &[u8]) -> Result<(), Errno> {
    let (room, length) = (call.pointer(places.0), call.pointer(places.1));
    let mut bytes = [0; 4];
    read_memory(call.thread, length, &mut bytes)?;
    let space = usize::try_from(i32::from_ne_bytes(bytes)).map_err(|_| Errno::INVAL)?;
    let written = value.len().min(space);
    write_memory(call.thread, room, &value[..written])?;
    write_memory(call.thread, length, &(written as u32).to_ne_bytes())
}
