//! cloister-attest: the attestation document of this enclave, for programs that cannot ask /dev/nsm themselves.
//! Reads the `public_key` for it from standard input, and writes the COSE_Sign1 bytes to standard output.
#![forbid(unsafe_code)]

use cloister_kms::document::{Attester, Nsm};
use cloister_kms::failure::{Code, Failure};
use std::io::{self, Read, Write};
use std::process::ExitCode;

/// The NSM's limit.
const MAX_PUBLIC_KEY_BYTES: u64 = 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cloister-attest: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    if std::env::args().len() > 1 {
        let usage = "usage: cloister-attest < public-key.der > document.cose";
        return Err(Failure::new(Code::Argument, usage));
    }
    let failed = |error: io::Error| Failure::new(Code::Argument, error.to_string());
    let mut public_key = Vec::new();
    io::stdin()
        .take(MAX_PUBLIC_KEY_BYTES + 1)
        .read_to_end(&mut public_key)
        .map_err(failed)?;
    if public_key.is_empty() || public_key.len() as u64 > MAX_PUBLIC_KEY_BYTES {
        let message = format!("a public key has 1 to {MAX_PUBLIC_KEY_BYTES} bytes");
        return Err(Failure::new(Code::Argument, message));
    }
    let document = Nsm.attest(&public_key, None)?;
    io::stdout().write_all(&document).map_err(failed)
}
