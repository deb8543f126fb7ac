//! The card's own root directory and, for most, network. Landlock cannot say which unix sockets a process may
//! connect to; a root can: beyond its enclave's directory the card then reaches no socket of the
//! host, whatever user it runs as, and without the host's network no abstract socket either.

use std::io;

use rustix::process::chroot;
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, set_capabilities};

/// Whose network a card has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// One of its own, with nothing in it.
    Own,
    Host,
}

/// Makes the working directory the root; the process must still have only one thread. A user namespace of
/// its own lends it the right to, which it gives back at once.
///
/// # Errors
/// When the host does not allow user namespaces to everybody; the process can go on without.
pub fn enter(network: Network) -> io::Result<()> {
    let spaces = match network {
        Network::Own => UnshareFlags::NEWUSER | UnshareFlags::NEWNET,
        Network::Host => UnshareFlags::NEWUSER,
    };
    // Deprecated for what it does to descriptor tables, which are not unshared here.
    #[allow(deprecated)]
    rustix::thread::unshare(spaces)?;
    let entered = chroot(".");
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    Ok(entered?)
}
