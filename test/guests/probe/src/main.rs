//! A test guest that does what its arguments say: it ends in some way, reports what it sees around
//! itself, dials ports of its parent, or attacks it. It is an app, or PID 1 itself
//! (`hostile-agent`, for which the kernel's command line carries the argument behind `--`).
#![deny(unsafe_code)]
// std's own start-up needs open standard streams, which PID 1 may lack.
#![no_main]

mod attack;
mod dialler;
mod hostile_agent;
mod surroundings;
#[allow(unsafe_code)]
mod system;
mod victim;

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, exit};
use std::thread::{park, sleep};
use std::time::Duration;
use vsock::{VMADDR_CID_ANY, VsockListener};

const PORT: u32 = 5006;

/// Called by the entry point in `system`.
fn run() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| arguments.get(at).map_or("", String::as_str);
    let number = |at: usize| word(at).parse().unwrap_or_default();
    match word(0) {
        "exit" => exit(number(1)),
        "kill" => system::end_by_signal(number(1)),
        "trap" => trap(number(1)),
        "ignore" => {
            system::ignore_sigterm();
            serve(&json!({}));
        }
        "halt" => {
            sleep(Duration::from_secs(1));
            system::halt(false);
        }
        "orphans" => orphans(),
        "count" => serve(&surroundings::contents(word(1))),
        "leave-orphan" => leave_orphan(),
        "attack" => attack::run(),
        "dialler" => dialler::run(),
        "victim" => victim::run(),
        "hostile-agent" => hostile_agent::run(word(1)),
        _ => serve(&surroundings::describe(&arguments)),
    }
    loop {
        park();
    }
}

/// Serves the report, then ends with status `code` when SIGTERM comes.
fn trap(code: i32) {
    system::block_sigterm();
    std::thread::spawn(|| serve(&json!({})));
    system::wait_for_sigterm();
    exit(code)
}

/// Twenty children that leave a child of their own behind, which PID 1 has to reap.
fn orphans() {
    for _ in 0..20 {
        let child = Command::new("/probe").arg("leave-orphan").status();
        child.expect("a child starts");
    }
    sleep(Duration::from_millis(500));
    serve(&json!({ "zombies": lasting_zombies() }));
}

/// How many there are still after 20 s: every child is a zombie until PID 1 has had its turn.
fn lasting_zombies() -> usize {
    for _ in 0..400 {
        if surroundings::zombies() == 0 {
            return 0;
        }
        sleep(Duration::from_millis(50));
    }
    surroundings::zombies()
}

fn leave_orphan() {
    let child = Command::new("/probe").args(["exit", "3"]).spawn();
    child.expect("a child starts");
    exit(0)
}

/// Writes `report` to every connection.
fn serve(report: &Value) {
    let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, PORT).expect("a port");
    for stream in listener.incoming() {
        // A reader that goes away is ignored.
        let _ = stream.and_then(|mut stream| stream.write_all(report.to_string().as_bytes()));
    }
}
