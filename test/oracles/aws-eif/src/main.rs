//! AWS's own reader and writer of enclave images as a program, for tests: what our reader and writer
//! are compared with.
//!
//!   aws-eif describe EIF                     what AWS's reader finds, as nitro-cli's describe-eif
//!   aws-eif build PLAN OUTPUT                writes an image; PLAN is JSON (`plan.rs`)
//!   aws-eif sign EIF CERTIFICATE KEY         signs as nitro-cli's sign-eif

mod describe;
mod plan;

use aws_nitro_enclaves_image_format::utils::{EifSigner, SignKeyData};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["describe", eif] => describe::describe(eif),
        ["build", plan, output] => plan::build(plan, output),
        ["sign", eif, certificate, key] => sign(eif, certificate, key),
        _ => {
            Err("usage: aws-eif describe EIF | build PLAN OUTPUT | sign EIF CERTIFICATE KEY".into())
        }
    };
    match result {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("aws-eif: {message}");
            ExitCode::FAILURE
        }
    }
}

fn sign(eif: &str, certificate: &str, key: &str) -> Result<String, String> {
    let data = SignKeyData::new(key, Path::new(certificate))?;
    let signer = EifSigner::new(Some(data)).ok_or("no key")?;
    signer.sign_image(eif)?;
    describe::describe(eif)
}
