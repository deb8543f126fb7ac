//! Netfilter, by the calls of iptables and nft.
#![forbid(unsafe_code)]

use crate::netlink::ask;
use crate::system::{get_option, socket};
use crate::{Outcome, Probe, opens};

/// linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h
const SO_GET_INFO: i32 = 64;
const SO_GET_REVISION_TARGET: i32 = 67;
const SO_GET_REVISION_MATCH: i32 = 66;
/// NFNL_SUBSYS_NFTABLES and NFT_MSG_GETGEN
const GET_GENERATION: u16 = 10 << 8 | 16;

pub const PROBES: &[Probe] = &[
    ("iptables", || {
        tables(&V4, &["filter", "nat", "mangle"])?;
        targets(
            &V4,
            &["REDIRECT", "MASQUERADE", "NETMAP", "REJECT", "SYNPROXY"],
        )?;
        matches(&V4, &["addrtype", "conntrack"])
    }),
    ("ip6tables", || {
        tables(&V6, &["filter", "nat", "mangle"])?;
        targets(&V6, &["REDIRECT", "MASQUERADE", "REJECT", "SYNPROXY"])
    }),
    ("iptables-matches", || {
        tables(&V4, &["raw"])?;
        targets(&V4, &["MARK", "TPROXY", "NFQUEUE", "LOG", "TCPMSS"])?;
        matches(
            &V4,
            &["owner", "mark", "comment", "multiport", "limit", "state"],
        )
    }),
    ("nf-tables", || {
        ask(libc::NETLINK_NETFILTER, GET_GENERATION, 0, &[0; 4]).map(drop)
    }),
    ("conntrack", || opens("/proc/net/nf_conntrack")),
    ("bridge-netfilter", || {
        opens("/proc/sys/net/bridge/bridge-nf-call-iptables")
    }),
];

struct Family {
    domain: i32,
    level: i32,
}

const V4: Family = Family {
    domain: libc::AF_INET,
    level: libc::IPPROTO_IP,
};
const V6: Family = Family {
    domain: libc::AF_INET6,
    level: libc::IPPROTO_IPV6,
};

/// `struct ipt_getinfo`: the table's name, then numbers.
fn tables(family: &Family, names: &[&str]) -> Outcome {
    each::<84>(family, names, SO_GET_INFO, 0)
}

fn targets(family: &Family, names: &[&str]) -> Outcome {
    each::<30>(family, names, SO_GET_REVISION_TARGET, 0)
}

fn matches(family: &Family, names: &[&str]) -> Outcome {
    each::<30>(family, names, SO_GET_REVISION_MATCH, 0)
}

/// Asks with a buffer that begins with each name: `struct xt_get_revision` has its revision last.
fn each<const SIZE: usize>(family: &Family, names: &[&str], option: i32, revision: u8) -> Outcome {
    let socket = socket(family.domain, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    for name in names {
        let mut buffer = [0u8; SIZE];
        buffer[..name.len()].copy_from_slice(name.as_bytes());
        buffer[SIZE - 1] = revision;
        match get_option(&socket, family.level, option, &mut buffer) {
            // A known name of another revision.
            Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => {}
            Err(error) => return Err(std::io::Error::other(format!("{name}: {error}"))),
            Ok(()) => {}
        }
    }
    Ok(())
}
