//! The command line of the proxy.
#![forbid(unsafe_code)]

use cloister_kms::endpoint::Url;
use cloister_kms::failure::{Code, Failure};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub const USAGE: &str = "\
usage: cloister-kms-proxy [OPTION]... [-- PROGRAM [ARGUMENT]...]

Lets unmodified AWS SDKs in this enclave use AWS KMS with attestation documents. Listens on
127.0.0.1, adds Recipient to requests, and decrypts CiphertextForRecipient in responses. With
PROGRAM, starts it with AWS_ENDPOINT_URL_KMS set, in the place of this process.

  --port PORT         listen on this port of 127.0.0.1 (default 8470)
  --endpoint URL      http(s)://HOST[:PORT] of KMS (default: AWS KMS of the request's region)
  --parent-port PORT  connect through this vsock port of the parent (default: the network)
  --ca-file FILE      accept certificates of these CAs (PEM), instead of the public ones
  --credentials FILE  access keys, in the form of ~/.aws/credentials; read for every request
  --attest-sign       ask for Sign with a document too, which only Cloister's broker has
  --broker-nonces     get a nonce from Cloister's broker for every document
  --response-key FILE accept only responses signed with this public key (PEM) of Cloister's broker
  --help              print this

Requests must be signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of this process, or with
an access key of FILE, and are signed with the same key again.
";
const DEFAULT_PORT: u16 = 8470;

pub enum Command {
    Help,
    Serve(Arguments),
}

pub struct Arguments {
    pub port: u16,
    pub endpoint: Option<Url>,
    pub parent_port: Option<u32>,
    pub ca_file: Option<PathBuf>,
    pub credentials: Option<PathBuf>,
    pub attests_sign: bool,
    pub uses_nonces: bool,
    pub response_key: Option<PathBuf>,
    /// The listening socket is standard input, of the process with this id. For this program's own use.
    pub inherits_from: Option<u32>,
    /// Empty to serve only.
    pub program: Vec<OsString>,
}

pub const INHERIT_LISTENER: &str = "--inherit-listener";

pub fn parse(words: Vec<OsString>) -> Result<Command, Failure> {
    let mut arguments = Arguments {
        port: DEFAULT_PORT,
        endpoint: None,
        parent_port: None,
        ca_file: None,
        credentials: None,
        attests_sign: false,
        uses_nonces: false,
        response_key: None,
        inherits_from: None,
        program: Vec::new(),
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let flag = word.to_string_lossy().into_owned();
        let mut value = || {
            let missing = || wrong(&format!("{flag} needs a value"));
            words.next().ok_or_else(missing)
        };
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--port" => arguments.port = number(&flag, &value()?)?,
            "--endpoint" => arguments.endpoint = Some(Url::parse(&value()?.to_string_lossy())?),
            "--parent-port" => arguments.parent_port = Some(number(&flag, &value()?)?),
            "--ca-file" => arguments.ca_file = Some(value()?.into()),
            "--credentials" => arguments.credentials = Some(value()?.into()),
            "--attest-sign" => arguments.attests_sign = true,
            "--broker-nonces" => arguments.uses_nonces = true,
            "--response-key" => arguments.response_key = Some(value()?.into()),
            INHERIT_LISTENER => arguments.inherits_from = Some(number(&flag, &value()?)?),
            "--" => {
                arguments.program = words.collect();
                if arguments.program.is_empty() {
                    return Err(wrong("no program follows --"));
                }
                break;
            }
            _ => return Err(wrong(&format!("unknown option {flag:?}"))),
        }
    }
    Ok(Command::Serve(arguments))
}

fn number<T: std::str::FromStr>(flag: &str, value: &OsStr) -> Result<T, Failure> {
    let text = value.to_string_lossy();
    let parsed = text.parse().ok();
    parsed.ok_or_else(|| wrong(&format!("{flag} {text:?} is not a valid port")))
}

fn wrong(message: &str) -> Failure {
    let message = format!("{message}; see cloister-kms-proxy --help");
    Failure::new(Code::Argument, message)
}
