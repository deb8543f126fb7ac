//! kmstool_enclave_cli, with the commands, options and output of AWS's program of that name
//! (aws-nitro-enclaves-sdk-c, bin/kmstool-enclave-cli).
#![forbid(unsafe_code)]

mod arguments;

use arguments::{Arguments, Command};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_kms::client::{DecryptOptions, Kms};
use cloister_kms::credentials::AccessKey;
use cloister_kms::document::Nsm;
use cloister_kms::endpoint::{Route, Url};
use cloister_kms::failure::{Code, Failure};
use cloister_kms::response_key::ResponseKey;
use std::process::ExitCode;

fn main() -> ExitCode {
    match arguments::parse(std::env::args().skip(1)).and_then(run) {
        Ok(lines) => {
            print!("{lines}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("kmstool_enclave_cli: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The lines for standard output.
fn run(arguments: Arguments) -> Result<String, Failure> {
    let Arguments {
        region,
        parent_port,
        endpoint,
        ca_file,
        response_key,
        uses_nonces,
        access_key,
        command,
    } = arguments;
    let (id, secret, token) = access_key;
    let url = match endpoint {
        Some(text) => Url::parse(&text)?,
        None => Url::of_region(&region),
    };
    let response_key = match response_key {
        Some(path) => Some(ResponseKey::read(&path)?),
        None => None,
    };
    let kms = Kms {
        route: Route::new(Some(url), Some(parent_port), ca_file.as_deref())?.pinned(response_key),
        region,
        key: AccessKey::new(id, secret, Some(token))?,
        attester: Box::new(Nsm),
        uses_nonces,
    };
    execute(&kms, command)
}

fn execute(kms: &Kms, command: Command) -> Result<String, Failure> {
    match command {
        Command::Decrypt {
            ciphertext,
            key_id,
            encryption_algorithm,
        } => {
            let ciphertext = STANDARD.decode(ciphertext).map_err(|error| {
                Failure::new(
                    Code::Argument,
                    format!("--ciphertext is not base64: {error}"),
                )
            })?;
            let options = DecryptOptions {
                key_id: key_id.as_deref(),
                encryption_algorithm: encryption_algorithm.as_deref(),
                ..Default::default()
            };
            let plaintext = kms.decrypt(&ciphertext, &options)?;
            Ok(format!("PLAINTEXT: {}\n", STANDARD.encode(&*plaintext)))
        }
        Command::GenerateKey { key_id, key_spec } => {
            let key = kms.generate_data_key(&key_id, key_spec)?;
            let ciphertext = STANDARD.encode(key.ciphertext);
            let plaintext = STANDARD.encode(&*key.plaintext);
            Ok(format!(
                "CIPHERTEXT: {ciphertext}\nPLAINTEXT: {plaintext}\n"
            ))
        }
        Command::GenerateRandom { count } => {
            let random = kms.generate_random(count)?;
            Ok(format!("PLAINTEXT: {}\n", STANDARD.encode(&*random)))
        }
    }
}
