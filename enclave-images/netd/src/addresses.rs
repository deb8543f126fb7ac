//! The network that programs in the guest see: a device of their own, and a router that is netd. The
//! addresses are those of the policy, which the host part knows too.

pub use cloister_egress_policy::{
    GUEST_ADDRESS as GUEST_V4, GUEST_ADDRESS_V6 as GUEST_V6, RESOLVER_ADDRESS as ROUTER_V4,
    RESOLVER_ADDRESS_V6 as ROUTER_V6,
};

use std::net::{IpAddr, SocketAddr};

/// The name of the device.
pub const DEVICE: &str = "cloister0";
/// The longest packet in bytes: the longest that IPv4 has, as nothing here is ever on a wire.
pub const MTU: usize = 65_535;
/// Bytes of a program that a segment to it has at most. The longest that fits with any header would have 65,475; this is
/// a multiple of 64, so that segments begin at aligned places of a buffer.
pub const SEGMENT_BYTES: usize = 65_472;

/// Whether an address is the router's own.
pub fn is_router(address: SocketAddr) -> bool {
    [IpAddr::V4(ROUTER_V4), IpAddr::V6(ROUTER_V6)].contains(&address.ip())
}
