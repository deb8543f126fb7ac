//! Starts the card: its socket first, then the sandbox, then the VMM's memory.
#![forbid(unsafe_code)]

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use cloister_confine::inherited::take_inherited;
use cloister_confine::private_root;
use cloister_confine::sandbox::{self, Reach};
use cloister_nsm::arguments::{Arguments, USAGE};
use cloister_nsm::backend::{Card, start_daemon};
use cloister_nsm::keeper::Keeper;
use vhost::vhost_user::Listener;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(sentence) => {
            eprint!("cloister-nsm: {sentence}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Err(error) = run(&arguments);
    eprintln!("cloister-nsm: {error}");
    ExitCode::FAILURE
}

/// Ends by itself only with an error: at the keeper's end the process exits.
fn run(arguments: &Arguments) -> io::Result<std::convert::Infallible> {
    // The inherited descriptor is taken before any other is opened.
    let mut keeper = Keeper::new(UnixStream::from(take_inherited(arguments.keeper)?));
    let mut listener = Listener::from(bind(&arguments.vhost_user)?);
    let has_private_root = private_root::enter().is_ok();
    keeper.greet(sandbox::enter(Reach::Nothing, has_private_root)?)?;
    let card = Card::new(keeper, || std::process::exit(0))?;
    let card = Arc::new(Mutex::new(card));
    loop {
        let mut daemon = start_daemon(&card)?;
        daemon
            .start(&mut listener)
            .map_err(|error| io::Error::other(error.to_string()))?;
        // However the VMM goes, the card goes on; a broken protocol ends that VMM's connection only.
        let _ = daemon.wait();
        card.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .disconnect_vmm();
    }
}

/// Listens at a path, in place of a socket that an earlier card has left there.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}
