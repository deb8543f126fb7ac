//! The app: AWS's init starts it, reaps whatever ends, and goes when the app has ended. How it ended
//! is not reported.
#![forbid(unsafe_code)]

use crate::entry::lead_session;
use nix::sys::wait::wait;
use std::io::{self, ErrorKind};
use std::process::Command;

const PATH: &str = "/sbin:/usr/sbin:/bin:/usr/bin";

pub fn run(command: &[String], environment: &[String]) -> io::Result<()> {
    let (program, arguments) = command.split_first().ok_or(ErrorKind::NotFound)?;
    let mut app = Command::new(program);
    app.args(arguments).env_clear().env("PATH", PATH);
    app.envs(environment.iter().filter_map(|item| item.split_once('=')));
    lead_session(&mut app);
    let app = app.spawn()?.id().cast_signed();
    while wait()?.pid().map(nix::unistd::Pid::as_raw) != Some(app) {}
    Ok(())
}
