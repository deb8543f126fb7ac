//! Many users of /dev/nsm at once: threads, processes, other users, and some that die.
#![forbid(unsafe_code)]

use crate::client::{ask, attest, describe};
use crate::report::{Outcome, Report, same};
use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

const THREADS: u16 = 8;
const PROCESSES: usize = 4;
const ROUNDS: u16 = 20;
const NOBODY: u32 = 65534;

pub fn check(report: &Report) {
    report.check("threads get the answers to their own requests", threads());
    report.check("processes use the device at the same time", processes());
    report.check(
        "another user may use the device",
        finished(child("ask").uid(NOBODY).gid(NOBODY)),
    );
    report.check("a process that is killed while it asks wedges nobody", {
        killed()
    });
}

/// What a child process of this program does.
pub fn play(role: &str) -> io::Result<()> {
    match role {
        "ask" => talk(1).map_err(io::Error::other),
        "attest" => loop {
            attest(0, 0, 0).map_err(io::Error::other)?;
        },
        _ => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Answers that are told apart by what was asked: lock state by index, and random bytes.
fn talk(offset: u16) -> Outcome {
    for round in 0..ROUNDS {
        let index = (round + offset) % 32;
        same((index, describe(index)?.0), (index, index < 16))?;
        match ask(Request::GetRandom) {
            Response::GetRandom { random } => same(random.len(), 256)?,
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}

fn threads() -> Outcome {
    let all: Vec<_> = (0..THREADS)
        .map(|offset| thread::spawn(move || talk(offset)))
        .collect();
    all.into_iter()
        .try_for_each(|one| one.join().map_err(|_| "a thread panicked".to_string())?)
}

fn child(role: &str) -> Command {
    let mut command = Command::new("/nsm-check");
    command.arg(role);
    command
}

fn spawn(command: &mut Command) -> Result<Child, String> {
    command.spawn().map_err(|error| error.to_string())
}

fn finished(command: &mut Command) -> Outcome {
    let status = spawn(command)?.wait().map_err(|error| error.to_string())?;
    same(status.code(), Some(0))
}

fn processes() -> Outcome {
    let all: Result<Vec<_>, _> = (0..PROCESSES).map(|_| spawn(&mut child("ask"))).collect();
    for mut process in all? {
        let status = process.wait().map_err(|error| error.to_string())?;
        same(status.code(), Some(0))?;
    }
    Ok(())
}

fn killed() -> Outcome {
    for delay in [20, 50, 90, 140] {
        let mut process = spawn(&mut child("attest"))?;
        thread::sleep(Duration::from_millis(delay));
        let end = process.kill().and_then(|()| process.wait());
        end.map_err(|error| error.to_string())?;
        describe(0)?;
    }
    Ok(())
}
