//! The proxy beside a program: this process becomes the program, which so keeps its place under the image's init
//! (signals, exit status), and a child with the listening socket becomes the proxy.
#![forbid(unsafe_code)]

use crate::arguments::INHERIT_LISTENER;
use cloister_kms::failure::{Code, Failure};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{Command, Stdio};

const SELF: &str = "/proc/self/exe";

/// Returns only with a failure.
pub fn launch(listener: TcpListener, program: &[OsString]) -> Failure {
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => return internal(&error),
    };
    let own = std::env::args_os().skip(1).take_while(|word| word != "--");
    let child = Command::new(SELF)
        .arg0("cloister-kms-proxy")
        .args([INHERIT_LISTENER, &std::process::id().to_string()])
        .args(own)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .spawn();
    if let Err(error) = child {
        return internal(&error);
    }
    let error = Command::new(&program[0])
        .args(&program[1..])
        .env("AWS_ENDPOINT_URL_KMS", format!("http://{address}"))
        .exec();
    let name = program[0].to_string_lossy();
    Failure::new(Code::Argument, format!("cannot start {name}: {error}"))
}

/// In the child: the socket that it was started with. It ends when the program does, whose process id is `program`;
/// nothing when that has ended already.
pub fn inherited_listener(program: u32) -> Result<Option<TcpListener>, Failure> {
    set_pdeathsig(Signal::SIGKILL).map_err(|error| internal(&error.into()))?;
    // No signal comes for what has happened before.
    if parent_id() != program {
        return Ok(None);
    }
    let descriptor = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| internal(&error))?;
    Ok(Some(TcpListener::from(descriptor)))
}

fn internal(error: &io::Error) -> Failure {
    Failure::new(
        Code::Internal,
        format!("the proxy cannot be started: {error}"),
    )
}
