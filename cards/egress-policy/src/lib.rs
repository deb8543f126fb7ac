//! What an enclave may reach, decided by one implementation: the guest's network process asks it before the
//! host part is asked, and the host part (`cards/network`) asks it again. Pure: no I/O, no clock, no `unsafe`.
//!
//! Reading order: `address` (what kind of address), `name` and `ports` (what a rule says), `policy` (the rules),
//! `decision` (what they decide, and why), `dns` and `learned` (which address a name gave), `wire` (what guest
//! and host part say to each other).
#![forbid(unsafe_code)]

pub mod address;
pub mod decision;
pub mod dns;
pub mod learned;
pub mod name;
mod object;
pub mod policy;
pub mod ports;
pub mod wire;

pub use address::{Cidr, Reach};
pub use decision::{Decision, Flow, Reason};
pub use learned::LearnedNames;
pub use name::{HostPattern, Name};
pub use policy::{Policy, PolicyError, Protocol, Rule};
pub use ports::Ports;

use std::net::{Ipv4Addr, Ipv6Addr};

/// The parent's vsock port where the host part listens.
pub const PARENT_PORT: u32 = 9003;
/// The host's loopback, as programs in the guest name it.
pub const HOST_NAME: &str = "host.cloister.internal";
/// What `HOST_NAME` resolves to; the host part connects to its own 127.0.0.1 instead. RFC 2544's range.
pub const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The guest's own address on its network device.
pub const GUEST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// Where the guest's network process answers DNS.
pub const RESOLVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);
/// The guest's own IPv6 address, in a unique local prefix (RFC 4193).
pub const GUEST_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd63, 0x6c6f, 0x6973, 0, 0, 0, 0, 2);
/// Where the guest's network process answers DNS over IPv6.
pub const RESOLVER_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd63, 0x6c6f, 0x6973, 0, 0, 0, 0, 3);
