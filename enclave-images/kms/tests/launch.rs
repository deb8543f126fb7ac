//! cloister-kms-proxy beside a program.

use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

const RUNS: usize = 20;
/// Nothing here takes as long; a proxy that stays never ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns when nobody has the standard streams open any more.
fn run_beside(program: &'static str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloister-kms-proxy"))
        .args([
            "--endpoint",
            "http://127.0.0.1:1",
            "--port",
            "0",
            "--",
            program,
        ])
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .output()
        .unwrap()
}

#[test]
fn the_proxy_ends_with_its_program_however_soon_that_is() {
    let (sender, outputs) = channel();
    thread::spawn(move || (0..RUNS).try_for_each(|_| sender.send(run_beside("true"))));
    for _ in 0..RUNS {
        let output = outputs.recv_timeout(PATIENCE).expect("the proxy has ended");
        assert!(output.status.success(), "{output:?}");
    }
}
