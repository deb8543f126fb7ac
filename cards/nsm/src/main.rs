//! Starts the card: what it inherits first, then the sandbox, then the VMM's memory.
#![forbid(unsafe_code)]

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use cloister_confine::inherited::take_inherited;
use cloister_confine::private_root;
use cloister_confine::sandbox::{self, Reach};
use cloister_nsm::arguments::{Arguments, USAGE};
use cloister_nsm::backend::{Card, start_daemon};
use cloister_nsm::keeper::Keeper;
use cloister_vhost_user::watchdog::watch;
use vhost::vhost_user::Listener;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(sentence) => {
            eprint!("cloister-nsm: {sentence}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloister-nsm: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves one VMM until it goes; at the keeper's end the process exits.
fn run(arguments: &Arguments) -> io::Result<()> {
    // Inherited descriptors are taken before any other is opened.
    let mut keeper = Keeper::new(UnixStream::from(take_inherited(arguments.keeper)?));
    let listener = UnixListener::from(take_inherited(arguments.vhost_user)?);
    let has_private_root = private_root::enter().is_ok();
    keeper.greet(sandbox::enter(Reach::Nothing, has_private_root)?)?;
    let card = Card::new(keeper, || std::process::exit(0))?;
    let (pulse, bell) = card.pulse_and_bell()?;
    watch("cloister-nsm", pulse, bell)?;
    let mut daemon = start_daemon(&Arc::new(Mutex::new(card)))?;
    daemon
        .start(&mut Listener::from(listener))
        .map_err(|error| io::Error::other(error.to_string()))?;
    // However the VMM goes, the card is no use to another one.
    let _ = daemon.wait();
    Ok(())
}
