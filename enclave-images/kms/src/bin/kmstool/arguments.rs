//! The command line of AWS's program. Beside it: CLOISTER_KMS_ENDPOINT for another place than AWS KMS, and
//! CLOISTER_KMS_CA_FILE for its certificate, CLOISTER_KMS_RESPONSE_KEY and CLOISTER_KMS_NONCES for Cloister's broker.
#![forbid(unsafe_code)]

use cloister_kms::failure::{Code, Failure};
use std::collections::BTreeMap;
use std::path::PathBuf;

const USAGE: &str = "\
usage: kmstool_enclave_cli COMMAND [OPTION]...

  decrypt    --ciphertext BASE64 [--key-id ID] [--encryption-algorithm NAME]
  genkey     --key-id ID --key-spec AES-256|AES-128
  genrandom  --length NUMBER

All commands:
  --region REGION              default us-east-1
  --proxy-port PORT            vsock port of the parent that leads to KMS; default 8000
  --aws-access-key-id ID
  --aws-secret-access-key KEY
  --aws-session-token TOKEN    empty for a user's access key, which has none

CLOISTER_KMS_ENDPOINT: http(s)://HOST[:PORT] instead of AWS KMS of the region.
CLOISTER_KMS_CA_FILE: accept certificates of these CAs (PEM), instead of the public ones.
CLOISTER_KMS_RESPONSE_KEY: accept only responses signed with this public key (a file in PEM) of
Cloister's broker. CLOISTER_KMS_NONCES=1: get a nonce from it for the document.
";
const COMMON: [&str; 5] = [
    "--region",
    "--proxy-port",
    "--aws-access-key-id",
    "--aws-secret-access-key",
    "--aws-session-token",
];

pub struct Arguments {
    pub region: String,
    pub parent_port: u32,
    pub endpoint: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub response_key: Option<PathBuf>,
    pub uses_nonces: bool,
    /// Id, secret and session token.
    pub access_key: (String, String, String),
    pub command: Command,
}

pub enum Command {
    Decrypt {
        ciphertext: String,
        key_id: Option<String>,
        encryption_algorithm: Option<String>,
    },
    GenerateKey {
        key_id: String,
        key_spec: &'static str,
    },
    GenerateRandom {
        count: u16,
    },
}

/// The options of each command, by the names that versions of AWS's program have given it.
fn options_of(command: &str) -> Option<&'static [&'static str]> {
    match command {
        "decrypt" => Some(&["--ciphertext", "--key-id", "--encryption-algorithm"]),
        "genkey" => Some(&["--key-id", "--key-spec"]),
        "genrandom" | "genrand" => Some(&["--length", "--number-of-bytes"]),
        _ => None,
    }
}

pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, Failure> {
    let command = words.next().unwrap_or_default();
    let Some(own) = options_of(&command) else {
        return Err(wrong(&format!("unknown command {command:?}\n\n{USAGE}")));
    };
    let mut given = BTreeMap::new();
    while let Some(flag) = words.next() {
        if flag == "--help" || flag == "-h" {
            return Err(wrong(USAGE));
        }
        if !COMMON.contains(&flag.as_str()) && !own.contains(&flag.as_str()) {
            return Err(wrong(&format!("unknown option {flag:?} of {command}")));
        }
        let value = words
            .next()
            .ok_or_else(|| wrong(&format!("{flag} needs a value")))?;
        given.insert(flag, value);
    }
    let mut take = |flag: &str| given.remove(flag);
    let mut must = |flag: &str| take(flag).ok_or_else(|| wrong(&format!("{flag} must be set")));
    let access_key = (
        must("--aws-access-key-id")?,
        must("--aws-secret-access-key")?,
        must("--aws-session-token")?,
    );
    let parent_port = number("--proxy-port", take_or(&mut given, "--proxy-port", "8000"))?;
    let region = take_or(&mut given, "--region", "us-east-1");
    Ok(Arguments {
        region,
        parent_port,
        endpoint: variable("CLOISTER_KMS_ENDPOINT"),
        ca_file: variable("CLOISTER_KMS_CA_FILE").map(Into::into),
        response_key: variable("CLOISTER_KMS_RESPONSE_KEY").map(Into::into),
        uses_nonces: variable("CLOISTER_KMS_NONCES").is_some_and(|value| value != "0"),
        access_key,
        command: parse_command(&command, &mut given)?,
    })
}

fn parse_command(name: &str, given: &mut BTreeMap<String, String>) -> Result<Command, Failure> {
    let mut must = |flag: &str| {
        given
            .remove(flag)
            .ok_or_else(|| wrong(&format!("{flag} must be set")))
    };
    match name {
        "decrypt" => Ok(Command::Decrypt {
            ciphertext: must("--ciphertext")?,
            key_id: given.remove("--key-id"),
            encryption_algorithm: given.remove("--encryption-algorithm"),
        }),
        "genkey" => Ok(Command::GenerateKey {
            key_id: must("--key-id")?,
            key_spec: match must("--key-spec")?.as_str() {
                "AES-256" => "AES_256",
                "AES-128" => "AES_128",
                other => return Err(wrong(&format!("unknown key spec {other:?}"))),
            },
        }),
        _ => {
            let length = must("--number-of-bytes").or_else(|_| must("--length"))?;
            let count = number("--length", length)?;
            if !(1..=1024).contains(&count) {
                return Err(wrong("--length must be between 1 and 1024"));
            }
            Ok(Command::GenerateRandom { count })
        }
    }
}

fn take_or(given: &mut BTreeMap<String, String>, flag: &str, default: &str) -> String {
    given.remove(flag).unwrap_or_else(|| default.into())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr>(flag: &str, text: String) -> Result<T, Failure> {
    let parsed = text.parse().ok();
    parsed.ok_or_else(|| wrong(&format!("{flag} {text:?} is not a valid number")))
}

fn wrong(message: &str) -> Failure {
    Failure::new(Code::Argument, message)
}
