//! A test guest: tries each facility of the kernel that enclave-images/kernel/facilities.json lists,
//! by its id there, as root, and writes what it found to each peer that connects to vsock port 5006:
//! `{"release": "6.12...", "failures": {id: null | text}}`.
//!
//! Its root file system holds /images, with small file systems to mount, and /32-bit, a program.
#![deny(unsafe_code)]

mod bpf;
mod devices;
mod files;
mod groups;
mod memory;
mod netfilter;
mod netlink;
mod network;
mod processes;
mod security;
#[allow(unsafe_code)]
mod system;

use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::{fs, process};
use vsock::{VMADDR_CID_ANY, VsockListener};

const PORT: u32 = 5006;
/// binfmt_misc starts this program with the file's path as an argument.
const AS_INTERPRETER: i32 = 42;

/// What a probe returns: `Err` is how the kernel refused.
type Outcome = io::Result<()>;
/// A facility's id and how it is tried.
type Probe = (&'static str, fn() -> Outcome);

fn main() -> io::Result<()> {
    if std::env::args().len() > 1 {
        process::exit(AS_INTERPRETER);
    }
    let failures: Map<String, Value> = [
        processes::PROBES,
        memory::PROBES,
        groups::PROBES,
        bpf::PROBES,
        security::PROBES,
        devices::PROBES,
        files::PROBES,
        network::PROBES,
        netfilter::PROBES,
    ]
    .into_iter()
    .flatten()
    .map(|(id, probe)| ((*id).to_owned(), json!(failure(*probe))))
    .collect();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let report = json!({ "release": release.trim(), "failures": failures }).to_string();
    for stream in VsockListener::bind_with_cid_port(VMADDR_CID_ANY, PORT)?.incoming() {
        // A peer that goes away is no concern of ours.
        let _ = stream.and_then(|mut stream| stream.write_all(report.as_bytes()));
    }
    Ok(())
}

fn failure(probe: fn() -> Outcome) -> Option<String> {
    probe().err().map(|error| error.to_string())
}

/// Fails unless the file can be opened for reading.
fn opens(path: &str) -> Outcome {
    fs::File::open(path).map(drop)
}

/// Fails with the text unless the condition holds.
fn ensure(condition: bool, otherwise: &str) -> Outcome {
    if condition {
        Ok(())
    } else {
        Err(io::Error::other(otherwise.to_owned()))
    }
}
