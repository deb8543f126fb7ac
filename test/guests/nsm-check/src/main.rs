//! A test guest: checks the rules that software written for AWS Nitro Enclaves relies on, through
//! AWS's own crate and through the bare ioctl, inside a running enclave. The rules are those of
//! AWS's nsm-test/src/bin/nsm-check.rs and of the driver (Linux drivers/misc/nsm.c).
//!
//! It runs all checks once, in order (locks cannot be undone), then writes one JSON report to
//! whoever connects to vsock port 5006: `{"claims": [{"claim": text, "failure": text|null}],
//! "facts": {name: base64}}`. Facts are for the other end to judge.
#![deny(unsafe_code)]

mod client;
mod crowd;
mod device;
#[allow(unsafe_code)]
mod ioctl;
mod registers;
mod report;

use report::Report;
use std::io::{self, Write};
use vsock::{VMADDR_CID_ANY, VsockListener};

const PORT: u32 = 5006;

fn main() -> io::Result<()> {
    if let Some(role) = std::env::args().nth(1) {
        return crowd::play(&role);
    }
    let report = Report::default();
    registers::check_at_boot(&report);
    device::check(&report);
    crowd::check(&report);
    registers::check_extending(&report);
    registers::check_locking(&report);
    let json = serde_json::to_vec(&report)?;
    for stream in VsockListener::bind_with_cid_port(VMADDR_CID_ANY, PORT)?.incoming() {
        // A reader that goes away is ignored.
        let _ = stream.and_then(|mut stream| stream.write_all(&json));
    }
    Ok(())
}
