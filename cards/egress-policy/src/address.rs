//! Addresses: one form for each, what kind of place it is (IANA's special-purpose registries, RFC 6890), and CIDR
//! blocks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::HOST_ADDRESS;

/// What an allowing rule must say before an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Any rule does.
    Public,
    /// RFC 1918, RFC 6598, unique local, documentation, benchmark and other special blocks, and IPv6 that is not
    /// global unicast: the rule must say `private: true`.
    Private,
    /// The host itself and its link: loopback, link-local, the services of its cloud for it (instance metadata), and
    /// the host's alias. The rule must say `private: true` and name it: a CIDR within that block, or for the alias its name.
    Local,
    /// Unspecified, multicast, broadcast and reserved addresses: no rule.
    Never,
}

/// An IPv4-mapped address as the IPv4 address that it is; every other one as it is.
#[must_use]
pub fn normalise(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The prefix of NAT64 that is of one network's choice (RFC 8215), with any length that RFC 6052 section 2.2 allows within it.
const LOCAL_NAT64: Cidr = Cidr {
    base: v6(0x64, 0xff9b, 1, 0),
    length: 48,
};

/// Every IPv4 address that a translator or tunnel could send this one to: NAT64 (RFC 6052; RFC 8215, whose prefix has a
/// length that is not known here), 6to4 (RFC 3056), or SIIT's IPv4-translated form (RFC 2765 section 2.1).
pub fn embedded_v4(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    readings(normalise(address)).into_iter().flatten()
}

fn readings(address: IpAddr) -> [Option<Ipv4Addr>; 4] {
    let IpAddr::V6(v6) = address else {
        return [None; 4];
    };
    let bytes = v6.octets();
    let read = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| bytes[place]));
    let last = read([12, 13, 14, 15]);
    match v6.segments() {
        [0x64, 0xff9b, 1, ..] => local_nat64([
            // Byte 8 is left out.
            read([6, 7, 9, 10]),
            read([7, 9, 10, 11]),
            read([9, 10, 11, 12]),
            last,
        ]),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => {
            [Some(last), None, None, None]
        }
        [0x2002, ..] => [Some(read([2, 3, 4, 5])), None, None, None],
        _ => [None; 4],
    }
}

/// By prefixes of 48, 56, 64 and 96 bits. Beside the one that the network has, others may see its padding: 0.0.0.0/8, which
/// leads nowhere, counts only where nothing else is seen.
fn local_nat64(all: [Ipv4Addr; 4]) -> [Option<Ipv4Addr>; 4] {
    let leads_somewhere = |it: &Ipv4Addr| it.octets()[0] != 0;
    if all.iter().any(leads_somewhere) {
        all.map(|it| Some(it).filter(leads_somewhere))
    } else {
        all.map(Some)
    }
}

/// What kind of place `address` is; a translated one is at least what it is translated to.
#[must_use]
pub fn reach_of(address: IpAddr) -> Reach {
    let address = normalise(address);
    let own = special(address).map_or(Reach::Public, |(_, reach)| reach);
    own.max(translated_reach(address))
}

fn translated_reach(address: IpAddr) -> Reach {
    embedded_v4(address)
        .map(reach_of_v4)
        .max()
        .unwrap_or(Reach::Public)
}

fn reach_of_v4(address: Ipv4Addr) -> Reach {
    special(IpAddr::V4(address)).map_or(Reach::Public, |(_, reach)| reach)
}

/// The special block with this address in it, and what it is.
fn special(address: IpAddr) -> Option<(Cidr, Reach)> {
    let table = match address {
        IpAddr::V4(_) => SPECIAL_V4,
        IpAddr::V6(_) => SPECIAL_V6,
    };
    table
        .iter()
        .map(|(base, length, reach)| {
            (
                Cidr {
                    base: *base,
                    length: *length,
                },
                *reach,
            )
        })
        .find(|(block, _)| block.contains(address))
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(a: u16, b: u16, c: u16, d: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
}

const fn host_v6(a: u16, b: u16, last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, last))
}

/// The first row that matches counts.
const SPECIAL_V4: &[(IpAddr, u8, Reach)] = &[
    (IpAddr::V4(HOST_ADDRESS), 32, Reach::Local),
    // Azure, "What is IP address 168.63.129.16?": the WireServer, DNS and DHCP of the host.
    (v4(168, 63, 129, 16), 32, Reach::Local),
    // Alibaba Cloud ECS, "Instance metadata".
    (v4(100, 100, 100, 200), 32, Reach::Local),
    // Oracle Cloud Infrastructure Compute Classic, "Retrieving Instance Metadata".
    (v4(192, 0, 0, 192), 32, Reach::Local),
    (v4(0, 0, 0, 0), 8, Reach::Never),
    (v4(10, 0, 0, 0), 8, Reach::Private),
    (v4(100, 64, 0, 0), 10, Reach::Private),
    (v4(127, 0, 0, 0), 8, Reach::Local),
    (v4(169, 254, 0, 0), 16, Reach::Local),
    (v4(172, 16, 0, 0), 12, Reach::Private),
    (v4(192, 0, 0, 0), 24, Reach::Private),
    (v4(192, 0, 2, 0), 24, Reach::Private),
    (v4(192, 88, 99, 0), 24, Reach::Private),
    (v4(192, 168, 0, 0), 16, Reach::Private),
    (v4(198, 18, 0, 0), 15, Reach::Private),
    (v4(198, 51, 100, 0), 24, Reach::Private),
    (v4(203, 0, 113, 0), 24, Reach::Private),
    (v4(224, 0, 0, 0), 4, Reach::Never),
    (v4(240, 0, 0, 0), 4, Reach::Never),
];

const SPECIAL_V6: &[(IpAddr, u8, Reach)] = &[
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128, Reach::Local),
    // Unspecified and IPv4-compatible (RFC 4291 section 2.5.5.1).
    (v6(0, 0, 0, 0), 96, Reach::Never),
    // AWS, "IPv6 on AWS: Supporting Amazon VPC services": instance metadata ::254, DNS ::253, NTP ::123; Amazon EKS,
    // "EKS Pod Identity": credentials ::23. What 169.254.0.0/16 is for IPv4.
    (v6(0xfd00, 0xec2, 0, 0), 32, Reach::Local),
    // Google Cloud, "About VM metadata": the metadata server for instances with IPv6 alone.
    (host_v6(0xfd20, 0xce, 0x254), 128, Reach::Local),
    // Where it leads depends on the length of the network's prefix.
    (LOCAL_NAT64.base, LOCAL_NAT64.length, Reach::Local),
    (v6(0x100, 0, 0, 0), 64, Reach::Private),
    (v6(0x2001, 0, 0, 0), 23, Reach::Private),
    (v6(0x2001, 0xdb8, 0, 0), 32, Reach::Private),
    (v6(0x3fff, 0, 0, 0), 20, Reach::Private),
    (v6(0x5f00, 0, 0, 0), 16, Reach::Private),
    (v6(0xfc00, 0, 0, 0), 7, Reach::Private),
    (v6(0xfe80, 0, 0, 0), 10, Reach::Local),
    (v6(0xfec0, 0, 0, 0), 10, Reach::Private),
    (v6(0xff00, 0, 0, 0), 8, Reach::Never),
    // NAT64's well-known prefix (RFC 6052), and all global unicast that IANA allocates (RFC 4291 section 2.4).
    (v6(0x64, 0xff9b, 0, 0), 96, Reach::Public),
    (v6(0x2000, 0, 0, 0), 3, Reach::Public),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0, Reach::Private),
];

/// A block of addresses, its host bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    length: u8,
}

impl Cidr {
    /// The block of one address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let base = normalise(address);
        Self {
            base,
            length: width(base),
        }
    }

    /// Whether `address` is in the block; a mapped one as the IPv4 address that it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        prefix_matches(self.base, self.length, normalise(address))
    }

    /// Whether the block lies within the local block that `address` is in: then a rule names it. Nothing names what may
    /// be translated to a local address.
    #[must_use]
    pub fn names(&self, address: IpAddr) -> bool {
        let address = normalise(address);
        self.contains(address)
            && translated_reach(address) < Reach::Local
            && special(address).is_some_and(|(block, reach)| {
                reach == Reach::Local && block.contains(self.base) && block.length <= self.length
            })
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Left-aligned, so that both families are compared alike.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

fn prefix_matches(base: IpAddr, length: u8, address: IpAddr) -> bool {
    base.is_ipv4() == address.is_ipv4() && (bits(base) ^ bits(address)) & mask(length) == 0
}

impl FromStr for Cidr {
    type Err = String;

    /// `10.1.0.0/16`, `fd00::/8`, or an address alone; host bits must be zero.
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("{text:?} is not an address or a CIDR block");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| invalid())?;
        if normalise(base) != base {
            return Err(format!(
                "{text:?} is an IPv4-mapped address: write the IPv4 address"
            ));
        }
        let length = length
            .map_or(Some(width(base)), parse_length)
            .filter(|length| *length <= width(base))
            .ok_or_else(invalid)?;
        if bits(base) & !mask(length) != 0 {
            return Err(format!(
                "{text:?} has bits beyond its prefix of {length} bits"
            ));
        }
        Ok(Self { base, length })
    }
}

/// Decimal without a sign and without leading zeros.
fn parse_length(text: &str) -> Option<u8> {
    let is_canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_canonical)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Reach {
        reach_of(text.parse().unwrap())
    }

    #[test]
    fn tells_public_private_and_local_addresses() {
        for (text, expected) in [
            ("93.184.216.34", Reach::Public),
            ("2606:2800::1", Reach::Public),
            ("10.0.0.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("172.32.0.0", Reach::Public),
            ("192.168.0.1", Reach::Private),
            ("198.18.0.9", Reach::Private),
            ("198.18.0.1", Reach::Local),
            ("fd12::1", Reach::Private),
            ("127.0.0.1", Reach::Local),
            ("::1", Reach::Local),
            ("169.254.169.254", Reach::Local),
            ("fd00:ec2::254", Reach::Local),
            ("fe80::1", Reach::Local),
            ("0.0.0.0", Reach::Never),
            ("::", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
            ("ff02::1", Reach::Never),
            ("200::1", Reach::Private),
            ("4000::1", Reach::Private),
            ("fbff::1", Reach::Private),
            ("3ffe::1", Reach::Public),
        ] {
            assert_eq!(reach(text), expected, "{text}");
        }
    }

    #[test]
    fn services_of_clouds_for_their_instances_are_local() {
        for text in [
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::23",
            "fd00:ec2::253",
            "fd20:ce::254",
        ] {
            assert_eq!(reach(text), Reach::Local, "{text}");
        }
        for text in ["100.100.100.201", "192.0.0.193", "fd20:ce::253"] {
            assert_eq!(reach(text), Reach::Private, "{text}");
        }
        assert_eq!(reach("168.63.129.17"), Reach::Public);
    }

    #[test]
    fn a_block_names_no_local_address_behind_a_translator() {
        for (block, address) in [
            ("::/0", "::ffff:0:a9fe:a9fe"),
            ("64:ff9b::/96", "64:ff9b::a9fe:a9fe"),
            ("64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe"),
            ("64:ff9b:1::/48", "64:ff9b:1::a9fe:a9fe"),
            // With a prefix of 48, 56 and 64 bits.
            ("64:ff9b:1::/48", "64:ff9b:1:a9fe:a9:fe00:808:808"),
            ("64:ff9b:1::/48", "64:ff9b:1:7f:0:100::"),
            ("64:ff9b:1:2::/64", "64:ff9b:1:2:a9:fea9:fe00:0"),
            ("2000::/3", "2002:7f00:1::"),
        ] {
            let block: Cidr = block.parse().unwrap();
            assert!(!block.names(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_translator_s_own_prefix_is_reached_where_a_block_names_it() {
        for (block, address, expected) in [
            ("64:ff9b:1::/48", "64:ff9b:1::808:808", true),
            ("64:ff9b:1:2::/96", "64:ff9b:1:2::808:808", true),
            ("64:ff9b:1::/48", "64:ff9b:1:808:8:800::", true),
            ("64:ff9b::/32", "64:ff9b:1::808:808", false),
            ("::/0", "64:ff9b:1::808:808", false),
        ] {
            let block: Cidr = block.parse().unwrap();
            assert_eq!(block.names(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn an_address_in_disguise_is_what_it_stands_for() {
        for (text, expected) in [
            ("::ffff:169.254.169.254", Reach::Local),
            ("::ffff:8.8.8.8", Reach::Public),
            ("::127.0.0.1", Reach::Never),
            ("64:ff9b::a9fe:a9fe", Reach::Local),
            ("64:ff9b::808:808", Reach::Public),
            ("2002:7f00:1::", Reach::Local),
            ("2002:808:808::", Reach::Public),
            ("::ffff:0:a9fe:a9fe", Reach::Local),
            ("::ffff:0:808:808", Reach::Private),
            ("64:ff9b:1::a9fe:a9fe", Reach::Local),
            ("64:ff9b:1:2:3:4:a9fe:a9fe", Reach::Local),
            ("64:ff9b:1::808:808", Reach::Local),
            ("64:ff9b:1::e000:1", Reach::Never),
            ("64:ff9b:1::1", Reach::Never),
        ] {
            assert_eq!(reach(text), expected, "{text}");
        }
    }

    #[test]
    fn blocks_are_read_strictly_and_written_as_they_were_read() {
        for text in ["10.1.0.0/16", "0.0.0.0/0", "::/0", "fd00::/8", "1.2.3.4/32"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for text in [
            "10.1.0.1/16",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::ffff:1.2.3.4",
            "1.2.3",
            "fe80::1%eth0",
            "",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_block_of_one_family_has_no_address_of_the_other() {
        let all: Cidr = "::/0".parse().unwrap();
        assert!(!all.contains("1.2.3.4".parse().unwrap()));
        assert!(!all.contains("::ffff:1.2.3.4".parse().unwrap()));
    }
}
