//! The keeper's first line: what the card serves by.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;

use cloister_egress_policy::{Policy, Protocol};
use serde::Deserialize;

/// Two policies in JSON, and little else.
const MAX_BYTES: u64 = 2 * 1024 * 1024;
const MAX_FLOWS: usize = 16 * 1024;
/// As many as glibc asks.
const MAX_RESOLVERS: usize = 3;
const MAX_PUBLISHED: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Setup {
    /// The policy that was measured with the image.
    pub image: Policy,
    /// The operator's; absent: what the image says.
    #[serde(default)]
    pub host: Option<Policy>,
    pub resolvers: Vec<SocketAddr>,
    /// Streams of the guest at once.
    pub max_flows: usize,
    /// Ports of the guest that are reached at sockets of the host.
    #[serde(default)]
    pub published: Vec<Published>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Published {
    /// An inherited socket, bound and not listening yet.
    pub fd: RawFd,
    pub protocol: Protocol,
    pub guest_port: NonZeroU16,
}

impl Setup {
    /// Reads the line; what follows it is left on the channel, as the keeper sends nothing before the card is ready.
    ///
    /// # Errors
    /// When the keeper is gone, or the line is not a set-up.
    pub fn read(channel: &UnixStream) -> io::Result<Self> {
        let mut line = Vec::new();
        let mut reader = BufReader::new(channel.take(MAX_BYTES));
        reader.read_until(b'\n', &mut line)?;
        let setup: Self = serde_json::from_slice(&line)?;
        let is_bounded = setup.resolvers.len() <= MAX_RESOLVERS
            && setup.published.len() <= MAX_PUBLISHED
            && (1..=MAX_FLOWS).contains(&setup.max_flows);
        if !is_bounded {
            return Err(io::Error::other("the set-up is out of bounds"));
        }
        Ok(setup)
    }
}
