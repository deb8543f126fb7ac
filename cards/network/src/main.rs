//! Starts the card: what it inherits and is told first, then the sandbox, then the guest's streams.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use cloister_confine::descriptors::allow_descriptors;
use cloister_confine::inherited::take_inherited;
use cloister_confine::private_root::{self, Network};
use cloister_confine::program::Program;
use cloister_confine::sandbox::{self, Reach};
use cloister_egress_policy::Policy;
use cloister_egress_policy::policy::MAX_POLICY_BYTES;
use cloister_network::arguments::{Arguments, USAGE};
use cloister_network::channel::Channel;
use cloister_network::context::Context;
use cloister_network::dialler::{self, Dialler};
use cloister_network::doors::Door;
use cloister_network::engine::{Engine, MAX_LOOKUPS, Sockets};
use cloister_network::explain::explain;
use cloister_network::judge::Judge;
use cloister_network::poller::Poller;
use cloister_network::setup::Setup;
use rustix::fs::OFlags;
use serde_json::json;

/// Descriptors other than flows'.
const OWN_DESCRIPTORS: usize = 64;

fn main() -> ExitCode {
    let program = Program {
        name: "cloister-network",
        usage: USAGE,
        parse: |words| Arguments::parse(words),
        run,
    };
    program.main()
}

fn run(arguments: Arguments) -> io::Result<()> {
    match arguments {
        Arguments::Serve { listen, channel } => serve(listen, channel),
        Arguments::Dial => dialler::process::serve(),
        Arguments::Explain(flow) => print_explanation(&flow),
    }
}

/// Serves until the keeper goes.
fn serve(listen: i32, channel: i32) -> io::Result<()> {
    // Inherited descriptors are taken before any other is opened.
    let channel = UnixStream::from(take_inherited(channel)?);
    let listener = take_inherited(listen)?;
    rustix::fs::fcntl_setfl(&listener, OFlags::NONBLOCK)?;
    let setup = Setup::read(&channel)?;
    let doors = setup.published.iter().map(|it| Door::open(*it));
    let doors = doors.collect::<io::Result<Vec<_>>>()?;
    allow_descriptors((2 * setup.max_flows + MAX_LOOKUPS + OWN_DESCRIPTORS) as u64)?;
    let mut context = Context::new(
        Poller::new()?,
        Judge::new(setup.image, setup.host),
        setup.resolvers,
    );
    let mut has_private_root = true;
    let mut dialler_pid = None;
    if !doors.is_empty() {
        let dialler = Dialler::start()?;
        has_private_root = dialler.has_private_root;
        dialler_pid = Some(dialler.pid);
        context.dialler = Some(dialler);
    }
    let channel = Channel::new(channel)?;
    let sockets = Sockets {
        listener,
        channel,
        doors,
    };
    let mut engine = Engine::new(sockets, setup.max_flows, context)?;
    has_private_root &= private_root::enter(Network::Host).is_ok();
    let report = sandbox::enter(Reach::Internet, has_private_root)?;
    engine.tell(&json!({ "event": "ready", "sandbox": report, "dialler": dialler_pid }));
    engine.run()
}

fn print_explanation(flow: &str) -> io::Result<()> {
    let mut json = Vec::new();
    let limit = MAX_POLICY_BYTES as u64 + 1;
    io::stdin().lock().take(limit).read_to_end(&mut json)?;
    let policy = Policy::from_json(&json).map_err(io::Error::other)?;
    let explanation = explain(&policy, flow).map_err(io::Error::other)?;
    println!("{}", serde_json::to_string(&explanation)?);
    Ok(())
}
