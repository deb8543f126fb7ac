//! What a card gives up before it maps guest memory, and its counterpart in the guest before it takes
//! packets: every path (Landlock), every system call it does not need (seccomp), and being traced. Its
//! sockets are open by then. An older kernel's Landlock enforces less, and the report says so; seccomp
//! is required.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde::Serialize;

use crate::system_calls::restrict_system_calls;

/// The newest Landlock whose rights are asked for: files, TCP, abstract sockets and signals.
const LANDLOCK: ABI = ABI::V6;

/// How far the sandbox could be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxReport {
    /// `full`, `partial` (an older kernel) or `none` (a kernel without Landlock).
    pub landlock: &'static str,
    pub seccomp: bool,
    /// Whether only the directory of its sockets can be reached: see `private_root`.
    pub private_root: bool,
}

/// What a card may still open a connection to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Listeners of the host: connecting to a socket is no access to a file, so Landlock does not
    /// narrow it; `private_root` does.
    UnixSockets,
    /// Those, and streams of the host's own `AF_VSOCK`, which no Landlock and no network namespace
    /// narrows.
    UnixAndVsock,
    /// TCP and UDP of the host's network, from ports that the kernel chooses; nothing local.
    Internet,
    /// One unix socket, by the one call in `vsock_socket`: of a process with one thread that maps no more memory.
    VsockSocket,
    /// The parent, by streams of `AF_VSOCK`: of a process in the guest, with one thread and no VMM.
    Parent,
    /// Programs of the guest, by TCP and UDP: of a process in the guest as well.
    Programs,
    Nothing,
}

impl Reach {
    pub(crate) fn has_internet(self) -> bool {
        matches!(self, Self::Internet | Self::Programs)
    }

    pub(crate) fn is_in_guest(self) -> bool {
        matches!(self, Self::Parent | Self::Programs)
    }
}

/// Closes the sandbox around the process, which must still have only one thread.
///
/// # Errors
/// When seccomp cannot be applied.
pub fn enter(reach: Reach, private_root: bool) -> io::Result<SandboxReport> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let landlock = restrict_paths(reach).map_err(|error| io::Error::other(error.to_string()))?;
    // In a root of its own the card can make files only beside its own sockets.
    let has_names = matches!(reach, Reach::UnixSockets | Reach::UnixAndVsock);
    let may_bind = has_names && (landlock != "none" || private_root);
    restrict_system_calls(reach, may_bind).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(SandboxReport {
        landlock,
        seccomp: true,
        private_root,
    })
}

/// No rule is added: nothing of what is handled stays allowed.
fn restrict_paths(reach: Reach) -> Result<&'static str, landlock::RulesetError> {
    let network = if reach.has_internet() {
        BitFlags::from(AccessNet::BindTcp)
    } else {
        AccessNet::from_all(LANDLOCK)
    };
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(network)?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "full",
        RulesetStatus::PartiallyEnforced => "partial",
        RulesetStatus::NotEnforced => "none",
    })
}
