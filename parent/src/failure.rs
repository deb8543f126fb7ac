//! Why a program could not be run, as the command line tells it, and the exit status that env(1) and
//! others have for it.

use std::io;

use rustix::io::Errno;

use crate::kernel::SpawnError;

#[derive(Debug)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
    pub hint: &'static str,
    pub exit_status: u8,
}

const SUPERVISOR_FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

impl Failure {
    #[must_use]
    pub fn arguments(message: String) -> Self {
        Self {
            code: "ERR_CLI_ARGUMENT",
            message,
            hint: "See `cloister parent --help`.",
            exit_status: SUPERVISOR_FAILED,
        }
    }

    #[must_use]
    pub fn kernel(message: String) -> Self {
        Self {
            code: "ERR_PARENT_KERNEL",
            message,
            hint: "Linux 5.14 or later is needed, with seccomp (CONFIG_SECCOMP_FILTER); in a container its profile must allow seccomp(2), pidfd_getfd(2) and process_vm_readv(2).",
            exit_status: SUPERVISOR_FAILED,
        }
    }

    #[must_use]
    pub fn inherited(descriptor: i32) -> Self {
        Self {
            code: "ERR_PARENT_DESCRIPTOR",
            message: format!("descriptor {descriptor} is a socket of the host's own AF_VSOCK"),
            hint: "Start the program without it: under `cloister parent` it reaches enclaves only.",
            exit_status: SUPERVISOR_FAILED,
        }
    }

    #[must_use]
    pub fn spawn(program: &str, error: &SpawnError) -> Self {
        match error {
            SpawnError::Filter(error) if is(error, Errno::BUSY) => Self {
                code: "ERR_PARENT_NESTED",
                message: "another supervisor already hears of this process's system calls".into(),
                hint: "Run it once: what `cloister parent` starts is covered, children included. Some container tools supervise too.",
                exit_status: SUPERVISOR_FAILED,
            },
            SpawnError::Filter(error) => {
                Self::kernel(format!("seccomp refuses the filter: {error}"))
            }
            SpawnError::Program(error) => Self {
                code: "ERR_PARENT_PROGRAM",
                message: format!("cannot run {program}: {error}"),
                hint: "Check the program's name, that it is executable, and that the interpreter of a script is there.",
                exit_status: if is(error, Errno::NOENT) {
                    NOT_FOUND
                } else {
                    NOT_EXECUTABLE
                },
            },
        }
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}
