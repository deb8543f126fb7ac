//! cloister-attest: the attestation document of this enclave, for programs that cannot ask /dev/nsm themselves.
//! Reads the `public_key` for it from standard input, and writes the COSE_Sign1 bytes to standard output. A `nonce` is
//! given in hexadecimal.
#![forbid(unsafe_code)]

use cloister_kms::document::{Attester, Nsm};
use cloister_kms::failure::{Code, Failure};
use std::io::{self, Read, Write};
use std::process::ExitCode;

/// The NSM's limits.
const MAX_PUBLIC_KEY_BYTES: u64 = 1024;
const MAX_NONCE_BYTES: usize = 512;
const USAGE: &str = "usage: cloister-attest [--nonce HEX] < public-key.der > document.cose";

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
    let words: Vec<String> = std::env::args().skip(1).collect();
    let nonce = match words.as_slice() {
        [] => None,
        [option, hex] if option == "--nonce" => Some(nonce_of(hex)?),
        _ => return Err(Failure::new(Code::Argument, USAGE)),
    };
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
    let document = Nsm.attest(&public_key, nonce.as_deref())?;
    io::stdout().write_all(&document).map_err(failed)
}

fn nonce_of(hex: &str) -> Result<Vec<u8>, Failure> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let nonce: Vec<u8> = digits
        .iter()
        .flat_map(|digits| digits.chunks(2))
        .filter_map(|pair| u8::try_from(pair[0] * 16 + pair.get(1)?).ok())
        .collect();
    if hex.len().is_multiple_of(2) && (1..=MAX_NONCE_BYTES).contains(&nonce.len()) {
        return Ok(nonce);
    }
    let message = format!("a nonce is 1 to {MAX_NONCE_BYTES} bytes in hexadecimal");
    Err(Failure::new(Code::Argument, message))
}
