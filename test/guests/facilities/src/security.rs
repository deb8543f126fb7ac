//! Security.
#![forbid(unsafe_code)]

use crate::system::{address, call, mount, number};
use crate::{Outcome, Probe, opens};
use std::ffi::CStr;
use std::fs;
use std::io::{self, ErrorKind};

/// keyctl(2).
const KEYCTL_GET_PERSISTENT: usize = 22;
const PROCESS_KEYRING: i32 = -2;

pub const PROBES: &[Probe] = &[
    ("seccomp", seccomp),
    ("landlock", || {
        const VERSION: usize = 1;
        call(libc::SYS_landlock_create_ruleset, &[0, 0, VERSION]).map(drop)
    }),
    ("yama", || opens("/proc/sys/kernel/yama/ptrace_scope")),
    ("keys", keys),
    ("encrypted-keys", encrypted_keys),
    ("asymmetric-keys", asymmetric_keys),
    ("securityfs", || {
        fs::create_dir_all("/tmp/security")?;
        mount("securityfs", "/tmp/security", "securityfs", "")
    }),
    ("selinux", || {
        fs::create_dir_all("/tmp/selinux")?;
        mount("selinuxfs", "/tmp/selinux", "selinuxfs", "")
    }),
];

fn seccomp() -> Outcome {
    const GET_ACTION_AVAIL: usize = 2;
    let action = libc::SECCOMP_RET_USER_NOTIF;
    call(libc::SYS_seccomp, &[GET_ACTION_AVAIL, 0, address(&action)]).map(drop)
}

fn add_key(kind: &CStr, name: &CStr, payload: &[u8]) -> io::Result<usize> {
    let arguments = [
        kind.as_ptr().addr(),
        name.as_ptr().addr(),
        address(payload),
        payload.len(),
        number(PROCESS_KEYRING),
    ];
    call(libc::SYS_add_key, &arguments)
}

fn keys() -> Outcome {
    add_key(c"user", c"probe", b"secret")?;
    let (this_user, keyring) = (number(-1), number(PROCESS_KEYRING));
    call(
        libc::SYS_keyctl,
        &[KEYCTL_GET_PERSISTENT, this_user, keyring],
    )
    .map(drop)
}

fn encrypted_keys() -> Outcome {
    add_key(c"user", c"master", &[7; 32])?;
    add_key(c"encrypted", c"probe", b"new user:master 32").map(drop)
}

/// A kernel that knows the type looks at the payload.
fn asymmetric_keys() -> Outcome {
    const EBADMSG: i32 = libc::EBADMSG;
    match add_key(c"asymmetric", c"probe", b"not a key") {
        Err(error) if error.raw_os_error() == Some(EBADMSG) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::InvalidData.into()),
    }
}
