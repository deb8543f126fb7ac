//! netd between real sockets: a network namespace whose only way out is a TUN device, netd at the other
//! end of it, and behind it a stand-in for the host part, outside the namespace. `main` starts this
//! program once more for each case, inside.
//!
//! With `--exec POLICY COMMAND...` it runs a command inside, for a look by hand; with `--serve PATH` it is
//! the stand-in alone.

mod cases;
mod host;
mod inside;

use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--inside", case, socket, ports] => {
            inside::run_case(case, socket, &host::Servers::from_text(ports))
        }
        ["--inside-exec", socket, policy, ref command @ ..] => {
            inside::run_command(socket, policy, command)
        }
        ["--exec", policy, ref command @ ..] => {
            start(&[&["--inside-exec", SOCKET, policy], command].concat())
        }
        ["--netd", socket, policy] => inside::run_netd(socket, policy),
        ["--serve", path] => host::serve_at(path),
        _ => run_all(&arguments),
    }
}

/// For a case, which takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Replaced by the path of the stand-in's socket.
const SOCKET: &str = "@socket";

fn start(arguments: &[&str]) -> ExitCode {
    let host = host::StandIn::start();
    let arguments = arguments
        .iter()
        .map(|it| if *it == SOCKET { host.path() } else { it });
    let status = Command::new("/proc/self/exe").args(arguments).status();
    match status.map(|status| status.code()) {
        Ok(Some(code)) => ExitCode::from(code as u8),
        _ => ExitCode::FAILURE,
    }
}

fn verdict(mut case: Child) -> &'static str {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match case.try_wait().expect("its status") {
            Some(status) if status.success() => return "ok",
            Some(_) => return "FAILED",
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
    let _ = case.kill();
    let _ = case.wait();
    "FAILED: it was not over in time"
}

/// Cases whose names contain one of the arguments that are not options; all without.
fn run_all(arguments: &[String]) -> ExitCode {
    let wanted: Vec<_> = arguments.iter().filter(|it| !it.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|it| name.contains(*it));
    let ports = host::Servers::start().expect("servers").to_text();
    let mut failed = 0;
    for (name, _) in cases::ALL.iter().filter(|(name, _)| is_wanted(name)) {
        let host = host::StandIn::start();
        let case = Command::new("/proc/self/exe")
            .args(["--inside", name, host.path(), &ports])
            .stdin(Stdio::null())
            .spawn();
        let verdict = verdict(case.expect("a process"));
        println!("test {name} ... {verdict}");
        failed += u32::from(verdict != "ok");
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
