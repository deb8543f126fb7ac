//! cloister-kms-proxy: see the usage below, and docs/kms-enclave.md.

mod arguments;
mod launch;
mod loopback;

use arguments::{Arguments, Command};
use cloister_kms::credentials::Credentials;
use cloister_kms::document::Nsm;
use cloister_kms::endpoint::Route;
use cloister_kms::failure::{Code, Failure};
use cloister_kms::proxy::{KeyPool, Proxy, serve};
use cloister_kms::response_key::ResponseKey;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cloister-kms-proxy: {failure}");
            ExitCode::from(if failure.code == Code::Argument { 2 } else { 1 })
        }
    }
}

fn run() -> Result<(), Failure> {
    let words = std::env::args_os().skip(1).collect();
    let arguments = match arguments::parse(words)? {
        Command::Help => {
            print!("{}", arguments::USAGE);
            return Ok(());
        }
        Command::Serve(arguments) => arguments,
    };
    let proxy = proxy(&arguments)?;
    let listener = match arguments.inherits_from {
        Some(program) => launch::inherited_listener(program)?,
        None => Some(loopback::listen(arguments.port)?),
    };
    let Some(listener) = listener else {
        return Ok(());
    };
    if !arguments.program.is_empty() {
        return Err(launch::launch(listener, &arguments.program));
    }
    serve(&listener, proxy)
}

/// Checked before the program is started: a mistake ends the start, not the first request.
fn proxy(arguments: &Arguments) -> Result<Proxy, Failure> {
    let fixed: Vec<_> = Credentials::from_environment()?.into_iter().collect();
    if fixed.is_empty() && arguments.credentials.is_none() {
        let message = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --credentials FILE";
        return Err(Failure::new(Code::Credentials, message));
    }
    let response_key = match &arguments.response_key {
        Some(path) => Some(ResponseKey::read(path)?),
        None => None,
    };
    let route = Route::new(
        arguments.endpoint.clone(),
        arguments.parent_port,
        arguments.ca_file.as_deref(),
    )?
    .pinned(response_key);
    Ok(Proxy {
        route,
        credentials: Credentials {
            fixed,
            file: arguments.credentials.clone(),
        },
        attester: Box::new(Nsm),
        keys: KeyPool::start(),
        attests_sign: arguments.attests_sign,
        uses_nonces: arguments.uses_nonces,
        report: |failure| eprintln!("cloister-kms-proxy: {failure}"),
    })
}
