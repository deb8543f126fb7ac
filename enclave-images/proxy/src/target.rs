//! Where a program wants to go: a name or an address, and a port.
#![forbid(unsafe_code)]

use cloister_egress_policy::Name;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Name(Name),
    Address(IpAddr),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub host: Host,
    /// Not 0.
    pub port: u16,
}

impl Host {
    /// Reads a name, with or without its final dot, or an address, IPv6 with or without brackets. Other spellings of
    /// IPv4 addresses (`127.1`, `0x7f000001`) are neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        let name = Name::new(text.strip_suffix('.').unwrap_or(text)).ok()?;
        (!name.is_number()).then_some(Self::Name(name))
    }
}

impl Target {
    #[must_use]
    pub fn new(host: Host, port: u16) -> Option<Self> {
        (port != 0).then_some(Self { host, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let target = Target::new(Host::parse(text)?, 443)?;
        Some(target.to_string())
    }

    #[test]
    fn names_and_addresses_have_one_spelling() {
        assert_eq!(
            shown("API.Example.com."),
            Some("api.example.com:443".into())
        );
        assert_eq!(shown("192.0.2.1"), Some("192.0.2.1:443".into()));
        assert_eq!(shown("::ffff:192.0.2.1"), Some("192.0.2.1:443".into()));
        assert_eq!(shown("[2001:DB8::1]"), Some("[2001:db8::1]:443".into()));
    }

    #[test]
    fn refuses_what_only_some_programs_take_for_an_address() {
        for text in [
            "",
            ".",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "a..b",
            "a b",
            "[::1",
            "[127.0.0.1]",
            "fe80::1%lo",
            "a:1",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
        assert_eq!(Target::new(Host::parse("a").unwrap(), 0), None);
    }
}
