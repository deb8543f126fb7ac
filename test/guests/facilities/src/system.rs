//! System calls: the one module with `unsafe`. The arguments are numbers and, as numbers, addresses
//! of memory that the caller's borrow keeps alive during the call.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::null;

/// An address to pass to [`call`]; the borrow outlives the statement it is made in.
pub fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance()
}

/// The same for memory that the kernel writes.
pub fn address_mut<T: ?Sized>(value: &mut T) -> usize {
    std::ptr::from_mut(value).cast::<u8>().expose_provenance()
}

/// A system call with up to six arguments.
pub fn call(number: libc::c_long, arguments: &[usize]) -> io::Result<usize> {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
    // SAFETY: addresses come from `address` and `address_mut` in the same expression, with the size
    // that the call expects; this is a test guest, whose whole memory is its own.
    let result = unsafe {
        libc::syscall(
            number,
            argument(0),
            argument(1),
            argument(2),
            argument(3),
            argument(4),
            argument(5),
        )
    };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result.cast_unsigned() as usize)
    }
}

/// A system call that returns a new descriptor.
pub fn open(number: libc::c_long, arguments: &[usize]) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(call(number, arguments)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    open(
        libc::SYS_socket,
        &[family, kind | libc::SOCK_CLOEXEC, protocol].map(number),
    )
}

pub fn ioctl(fd: &impl AsRawFd, request: u64, argument: usize) -> io::Result<usize> {
    let request = usize::try_from(request).map_err(io::Error::other)?;
    call(
        libc::SYS_ioctl,
        &[number(fd.as_raw_fd()), request, argument],
    )
}

/// Sets a socket option to a value of plain data.
pub fn set_option<T>(fd: &impl AsRawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let arguments = [
        number(fd.as_raw_fd()),
        number(level),
        number(name),
        address(value),
        size_of::<T>(),
    ];
    call(libc::SYS_setsockopt, &arguments).map(drop)
}

/// Reads a socket option into `value`, whose content the kernel may look at first.
pub fn get_option<T>(fd: &impl AsRawFd, level: i32, name: i32, value: &mut T) -> io::Result<()> {
    let mut size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let arguments = [
        number(fd.as_raw_fd()),
        number(level),
        number(name),
        address_mut(value),
        address_mut(&mut size),
    ];
    call(libc::SYS_getsockopt, &arguments).map(drop)
}

pub fn mount(source: &str, target: &str, kind: &str, options: &str) -> io::Result<()> {
    mount_with([source, target, kind, options], 0)
}

pub fn mount_read_only(source: &str, target: &str, kind: &str) -> io::Result<()> {
    mount_with([source, target, kind, ""], libc::MS_RDONLY)
}

fn mount_with(words: [&str; 4], flags: libc::c_ulong) -> io::Result<()> {
    let text = |text: &str| CString::new(text).map_err(io::Error::other);
    let [source, target, kind, options] = words.map(text);
    let (source, target, kind, options) = (source?, target?, kind?, options?);
    // SAFETY: all four are strings that live until the end of the function.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

pub fn unmount(target: &str) -> io::Result<()> {
    let target = CString::new(target).map_err(io::Error::other)?;
    call(libc::SYS_umount2, &[target.as_ptr().addr(), 0]).map(drop)
}

/// Maps anonymous memory of `size` bytes, which stays until the program ends.
pub fn map(size: usize, flags: i32) -> io::Result<usize> {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
    let address = unsafe {
        libc::mmap(
            null::<u8>().cast_mut().cast(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(address.addr())
    }
}

/// Runs `action` in a child process, whose namespaces and threads are its own.
pub fn in_child(action: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // SAFETY: the program has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = action()
                .err()
                .map_or(0, |error| error.raw_os_error().unwrap_or(255));
            std::process::exit(code)
        }
        _ => {
            let mut status = 0;
            // SAFETY: waitpid writes one int.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            match libc::WEXITSTATUS(status) {
                0 if libc::WIFEXITED(status) => Ok(()),
                code => Err(io::Error::from_raw_os_error(code)),
            }
        }
    }
}

/// A non-negative number, or one whose sign the kernel sees again.
pub fn number(value: i32) -> usize {
    value.cast_unsigned() as usize
}
