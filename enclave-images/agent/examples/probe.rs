//! The app of the agent's integration tests: does what its arguments say, and says what it sees.
#![forbid(unsafe_code)]

use std::process::{self, Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = || {
        arguments
            .get(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    match arguments.first().map(String::as_str) {
        Some("exit") => return ExitCode::from(number()),
        Some("lines") => print_lines(u64::from(number()) * 100),
        Some("panic") => panic!("as told"),
        Some("sleep") => sleep(Duration::from_secs(3600)),
        Some("orphans") => make_orphans(u64::from(number())),
        Some("orphan") => sleep(Duration::from_millis(u64::from(number()))),
        Some("parent") => spawn_and_leave(number()),
        _ => report(),
    }
    ExitCode::SUCCESS
}

/// One `name=value` line per fact, then the environment.
fn report() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for name in ["Uid", "Gid", "Groups", "CapEff", "CapAmb", "SigBlk"] {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let fields: Vec<_> = line.unwrap_or("?").split_whitespace().collect();
        println!("{name}={}", fields.join(","));
    }
    println!("cwd={}", env::current_dir().unwrap_or_default().display());
    println!("argv={}", env::args().collect::<Vec<_>>().join("|"));
    env::vars().for_each(|(name, value)| println!("env:{name}={value}"));
}

/// Through /dev/stdout, which the app's user must be allowed to open.
fn print_lines(count: u64) {
    let text: String = (1..=count).map(|line| format!("line {line}\n")).collect();
    fs::write("/dev/stdout", text).expect("the standard output opens by name");
}

/// Children whose parents end first, so that PID 1 inherits them; prints how many stay zombies.
fn make_orphans(count: u64) {
    let probe = env::args().next().unwrap_or_default();
    for index in 0..count {
        let child = Command::new(&probe)
            .args(["parent", &(index % 20).to_string()])
            .spawn();
        child
            .and_then(|mut child| child.wait())
            .expect("the probe starts itself");
    }
    sleep(Duration::from_millis(500));
    println!("zombies={}", lasting_zombies());
}

/// How many there are still after 20 s: every child is a zombie until PID 1 has had its turn.
fn lasting_zombies() -> usize {
    for _ in 0..400 {
        if zombies() == 0 {
            return 0;
        }
        sleep(Duration::from_millis(50));
    }
    zombies()
}

fn zombies() -> usize {
    let others = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = others.filter(|entry| {
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        status.contains("\nState:\tZ")
    });
    found.count()
}

fn spawn_and_leave(milliseconds: u8) {
    let probe = env::args().next().unwrap_or_default();
    let child = Command::new(probe)
        .args(["orphan", &milliseconds.to_string()])
        .spawn();
    drop(child);
    process::exit(0)
}
