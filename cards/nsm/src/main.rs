//! Starts the card: what it inherits first, then the sandbox, then the VMM's memory.
#![forbid(unsafe_code)]

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use cloister_confine::inherited::take_inherited;
use cloister_confine::private_root;
use cloister_confine::program::Program;
use cloister_confine::sandbox::{self, Reach};
use cloister_nsm::arguments::{Arguments, USAGE};
use cloister_nsm::backend::{Card, start_daemon};
use cloister_nsm::channel::Channel;
use cloister_vhost_user::watchdog::watch;
use vhost::vhost_user::Listener;

fn main() -> ExitCode {
    let parse = |words| Arguments::parse(words);
    let program = Program {
        name: "cloister-nsm",
        usage: USAGE,
        parse,
        run,
    };
    program.main()
}

/// Serves one VMM until it goes; at the keeper's end the process exits.
fn run(arguments: Arguments) -> io::Result<()> {
    // Inherited descriptors are taken before any other is opened.
    let mut channel = Channel::new(UnixStream::from(take_inherited(arguments.channel)?));
    let listener = UnixListener::from(take_inherited(arguments.vhost_user)?);
    let has_private_root = private_root::enter(private_root::Network::Own).is_ok();
    channel.greet(sandbox::enter(Reach::Nothing, has_private_root)?)?;
    let card = Card::new(channel, || std::process::exit(0))?;
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
