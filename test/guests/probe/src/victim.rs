//! An app to which faults happen on request: it dies, hangs, or runs out of something. It ignores SIGTERM,
//! so that an enclave that is being stopped waits for it.
#![forbid(unsafe_code)]

use crate::system;
use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_init, nsm_process_request};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::thread;
use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

const SIGKILL: i32 = 9;
const SIGSTOP: i32 = 19;
const FILL: &str = "/tmp/fill";
const MIB: usize = 1 << 20;
/// More than any test's guest has.
const MOST_MIB: usize = 4096;

/// Each connection: a line with one word, answered with a line unless it ends the app.
pub fn run() {
    system::ignore_sigterm();
    let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, crate::PORT).expect("a port");
    let device = nsm_init();
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            // The asker may go away before the answer.
            let _ = serve(stream, device);
        });
    }
}

fn serve(mut asker: VsockStream, device: i32) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(asker.try_clone()?).read_line(&mut line)?;
    let answer = match line.trim() {
        "attest" => attest(device),
        "extend" => extend(device),
        "die" => end_by(SIGKILL),
        "hang" => end_by(SIGSTOP),
        "descriptors" => open_until_refused(),
        "disk" => write_until_full(),
        "memory" => touch_until_killed(),
        _ => "unknown".to_owned(),
    };
    writeln!(asker, "{answer}")
}

fn attest(device: i32) -> String {
    let request = Request::Attestation {
        user_data: None,
        nonce: None,
        public_key: None,
    };
    match nsm_process_request(device, request) {
        Response::Attestation { document } => format!("document of {} bytes", document.len()),
        other => format!("{other:?}"),
    }
}

fn extend(device: i32) -> String {
    let data = vec![1];
    let response = nsm_process_request(device, Request::ExtendPCR { index: 16, data });
    format!("{response:?}")
}

fn end_by(signal: i32) -> String {
    system::end_by_signal(signal);
    "continued".to_owned()
}

fn open_until_refused() -> String {
    let mut held = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) => return format!("{error}"),
        }
    }
}

fn write_until_full() -> String {
    let outcome = fill();
    let _ = fs::remove_file(FILL);
    outcome.map_or_else(|error| format!("{error}"), |()| "never full".to_owned())
}

fn fill() -> std::io::Result<()> {
    let mut file = File::create(FILL)?;
    (0..MOST_MIB).try_for_each(|_| file.write_all(&vec![1; MIB]))
}

fn touch_until_killed() -> String {
    let held: Vec<Vec<u8>> = (0..MOST_MIB).map(|_| vec![1; MIB]).collect();
    format!("{} MiB", held.len())
}
