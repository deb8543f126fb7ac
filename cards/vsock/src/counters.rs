//! What the card has done and refused since it started, for `describe-enclaves` and metrics.

use serde::Serialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    pub packets_from_guest: u64,
    pub packets_to_guest: u64,
    pub bytes_to_host: u64,
    pub bytes_to_guest: u64,
    /// Connections opened by the guest and by the host.
    pub opened_by_guest: u64,
    pub opened_by_host: u64,
    /// Refused because the policy does not allow the port.
    pub refused_by_policy: u64,
    /// Refused because nothing listens on the host (or the guest reset the request).
    pub refused_without_listener: u64,
    /// Refused because of a limit.
    pub refused_by_limit: u64,
    /// Malformed packets: broken chains, short headers, lengths beyond the buffer.
    pub malformed: u64,
    /// Packets that break the protocol: wrong CIDs, socket types, operations, credit lies.
    pub violations: u64,
    /// Resets that were not sent because the guest does not take its packets.
    pub dropped_resets: u64,
}
