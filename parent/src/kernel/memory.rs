//! The memory of another process (`process_vm_readv(2)`).

use libc::c_void;
use rustix::io::Errno;

use super::last_error;

/// Reads `bytes` from an address in another process.
///
/// # Errors
/// `EFAULT` when not all of it is readable, `EPERM`, `ESRCH`.
pub fn read_memory(process: i32, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
    let (ours, theirs) = parts(bytes.as_mut_ptr(), address, bytes.len());
    // SAFETY: `ours` describes `bytes`, which is borrowed mutably; the kernel checks the other side.
    let count =
        unsafe { libc::process_vm_readv(process, &raw const ours, 1, &raw const theirs, 1, 0) };
    whole(count, bytes.len())
}

/// # Errors
/// As [`read_memory`].
pub fn write_memory(process: i32, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    let (ours, theirs) = parts(bytes.as_ptr().cast_mut(), address, bytes.len());
    // SAFETY: `ours` describes `bytes`, which is only read; the kernel checks the other side.
    let count =
        unsafe { libc::process_vm_writev(process, &raw const ours, 1, &raw const theirs, 1, 0) };
    whole(count, bytes.len())
}

fn parts(bytes: *mut u8, address: u64, iov_len: usize) -> (libc::iovec, libc::iovec) {
    let ours = libc::iovec {
        iov_base: bytes.cast(),
        iov_len,
    };
    let theirs = libc::iovec {
        iov_base: address as *mut c_void,
        iov_len,
    };
    (ours, theirs)
}

fn whole(count: isize, wanted: usize) -> Result<(), Errno> {
    match usize::try_from(count) {
        Ok(count) if count == wanted => Ok(()),
        Ok(_) => Err(Errno::FAULT),
        Err(_) => Err(last_error()),
    }
}
