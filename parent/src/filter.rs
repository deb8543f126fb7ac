//! Which system calls the supervisor hears of, as classic BPF for seccomp(2). It sees a call's number
//! and arguments, not memory, so what an argument points to is looked at by the supervisor.
//!
//! No socket of `AF_VSOCK` comes into being behind the filter: socket(2) is answered by the
//! supervisor, io_uring, which makes sockets on its own, is absent (`ENOSYS`), and so is `AF_VSOCK`
//! for 32-bit programs. Calls that are not named here always pass, which Linux 5.11 and later remember for
//! each call's number: they cost nothing.

use libc::{c_long, sock_filter};

use crate::options;

/// `_IO(7, 0xb9)` of linux/vm_sockets.h, on /dev/vsock.
pub const IOCTL_GET_LOCAL_CID: u32 = 0x7b9;

/// `struct sockaddr_in6` and `struct sockaddr_un`: lengths that no vsock address has.
const OTHER_ADDRESS_BYTES: [u32; 2] = [28, 110];

// linux/audit.h: the ELF machine, 64-bit and little-endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 62 | 0x8000_0000 | 0x4000_0000;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 183 | 0x8000_0000 | 0x4000_0000;

// struct seccomp_data
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;

type Block = Vec<sock_filter>;

/// The whole filter.
#[must_use]
pub fn program() -> Vec<sock_filter> {
    let mut program = vec![load(ARCH)];
    program.extend(unless_equal(ARCHITECTURE, other_architecture()));
    program.push(load(NUMBER));
    #[cfg(target_arch = "x86_64")]
    program.extend(if_at_least(X32_CALLS, fail(libc::ENOSYS)));
    for (number, block) in [
        (libc::SYS_socket, if_argument(0, libc::AF_VSOCK as u32)),
        (libc::SYS_connect, if_address(2)),
        (libc::SYS_bind, if_address(2)),
        (libc::SYS_listen, report()),
        (libc::SYS_accept, report()),
        (libc::SYS_accept4, report()),
        (libc::SYS_getsockname, report()),
        (libc::SYS_getpeername, report()),
        (libc::SYS_getsockopt, if_option()),
        (libc::SYS_setsockopt, if_argument(1, options::LEVEL)),
        (libc::SYS_ioctl, if_argument(1, IOCTL_GET_LOCAL_CID)),
        (libc::SYS_io_uring_setup, fail(libc::ENOSYS)),
    ] {
        program.extend(if_call(number, block));
    }
    program.extend(allow());
    program
}

#[cfg(target_arch = "x86_64")]
const X32_CALLS: u32 = 0x4000_0000;

/// 32-bit programs get no vsock sockets. `socketcall(SYS_SOCKET)` hides the family in memory, so it
/// gets none at all; glibc and musl have called socket(2) itself since Linux 4.3.
#[cfg(target_arch = "x86_64")]
fn other_architecture() -> Block {
    const SOCKETCALL: c_long = 102;
    const SOCKET: c_long = 359;
    const IO_URING_SETUP: c_long = 425;
    const SYS_SOCKET: u32 = 1;
    let mut block = vec![load(NUMBER)];
    for (number, argument) in [(SOCKETCALL, SYS_SOCKET), (SOCKET, libc::AF_VSOCK as u32)] {
        let mut refused = vec![load(argument_offset(0))];
        refused.extend(if_equal(argument, fail(libc::EAFNOSUPPORT)));
        refused.extend(allow());
        block.extend(if_call(number, refused));
    }
    block.extend(if_call(IO_URING_SETUP, fail(libc::ENOSYS)));
    block.extend(allow());
    block
}

/// 32-bit Arm numbers socket(2) 281.
#[cfg(target_arch = "aarch64")]
fn other_architecture() -> Block {
    let mut refused = vec![load(argument_offset(0))];
    refused.extend(if_equal(libc::AF_VSOCK as u32, fail(libc::EAFNOSUPPORT)));
    refused.extend(allow());
    let mut block = vec![load(NUMBER)];
    block.extend(if_call(281, refused));
    block.extend(if_call(425, fail(libc::ENOSYS)));
    block.extend(allow());
    block
}

/// Reports the call when its argument, an `int`, has the value.
fn if_argument(index: u32, value: u32) -> Block {
    let mut block = vec![load(argument_offset(index))];
    block.extend(if_equal(value, report()));
    block.extend(allow());
    block
}

/// Reports the call when an address of that length may be one of vsock.
fn if_address(length: u32) -> Block {
    let mut block = vec![load(argument_offset(length))];
    for other in OTHER_ADDRESS_BYTES {
        block.extend(if_equal(other, allow()));
    }
    block.extend(if_at_least(crate::address::ADDRESS_BYTES as u32, report()));
    block.extend(allow());
    block
}

/// Reports getsockopt(2) of vsock's own options, and of what tells a socket's family.
fn if_option() -> Block {
    let mut block = vec![load(argument_offset(1))];
    block.extend(if_equal(options::LEVEL, report()));
    let mut family = vec![load(argument_offset(2))];
    family.extend(if_equal(libc::SO_DOMAIN as u32, report()));
    family.extend(allow());
    block.extend(if_equal(libc::SOL_SOCKET as u32, family));
    block.extend(allow());
    block
}

fn if_call(number: c_long, block: Block) -> Block {
    if_equal(number as u32, block)
}

/// Runs `block`, which must return, when the value at hand is `value`.
fn if_equal(value: u32, block: Block) -> Block {
    jump(IF_EQUAL, value, (0, skip(&block)), block)
}

fn unless_equal(value: u32, block: Block) -> Block {
    jump(IF_EQUAL, value, (skip(&block), 0), block)
}

fn if_at_least(value: u32, block: Block) -> Block {
    jump(IF_AT_LEAST, value, (0, skip(&block)), block)
}

/// Blocks have a few instructions; a jump reaches 255.
fn skip(block: &Block) -> u8 {
    u8::try_from(block.len()).expect("a block of the filter is short")
}

fn jump(code: u16, k: u32, (jt, jf): (u8, u8), block: Block) -> Block {
    let mut all = vec![sock_filter { code, jt, jf, k }];
    all.extend(block);
    all
}

fn report() -> Block {
    vec![ret(libc::SECCOMP_RET_USER_NOTIF)]
}

fn allow() -> Block {
    vec![ret(libc::SECCOMP_RET_ALLOW)]
}

fn fail(error: i32) -> Block {
    vec![ret(libc::SECCOMP_RET_ERRNO | error as u32)]
}

fn ret(k: u32) -> sock_filter {
    statement(RETURN, k)
}

fn load(offset: u32) -> sock_filter {
    statement(LOAD, offset)
}

/// The lower half of an argument, on a little-endian machine.
fn argument_offset(index: u32) -> u32 {
    16 + 8 * index
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}
