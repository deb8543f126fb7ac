//! The rules against a model that is naive on purpose: it expands nothing, merges nothing, and compares text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cloister_egress_policy::decision::{Decision, Flow};
use cloister_egress_policy::wire::{Request, split_frame};
use cloister_egress_policy::{HOST_NAME, Name, Policy, Protocol};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A rule as it is written, with ports as pairs.
#[derive(Clone, Debug)]
struct Written {
    host: Option<String>,
    cidr: Option<(IpAddr, u8)>,
    ports: Vec<(u16, u16)>,
    protocol: Option<&'static str>,
    private: bool,
}

impl Written {
    fn json(&self) -> Value {
        let mut rule = json!({});
        if let Some(host) = &self.host {
            rule["host"] = json!(host);
        }
        if let Some((base, length)) = self.cidr {
            rule["cidr"] = json!(format!("{base}/{length}"));
        }
        if !self.ports.is_empty() {
            let ports = self.ports.iter();
            rule["ports"] = ports.map(|(a, b)| json!(format!("{a}-{b}"))).collect();
        }
        if let Some(protocol) = self.protocol {
            rule["protocol"] = json!(protocol);
        }
        if self.private {
            rule["private"] = json!(true);
        }
        rule
    }

    fn covers(&self, protocol: &str, port: u16) -> bool {
        let is_port =
            self.ports.is_empty() || self.ports.iter().any(|(a, b)| *a <= port && port <= *b);
        is_port && self.protocol.is_none_or(|it| it == protocol)
    }

    fn has_name(&self, name: &str) -> bool {
        self.host.as_deref().is_some_and(|host| {
            let pattern: Vec<&str> = host.split('.').collect();
            labels_match(&pattern, &name.split('.').collect::<Vec<_>>())
        })
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.cidr
            .is_some_and(|(base, length)| in_block(address, base, length))
    }
}

/// By trying every number of labels for `**`.
fn labels_match(pattern: &[&str], name: &[&str]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((&"**", rest)) => (1..=name.len()).any(|taken| labels_match(rest, &name[taken..])),
        Some((first, rest)) => name.split_first().is_some_and(|(label, others)| {
            (*first == "*" || first == label) && labels_match(rest, others)
        }),
    }
}

/// Bit by bit.
fn in_block(address: IpAddr, base: IpAddr, length: u8) -> bool {
    let bit_of = |bytes: &[u8], index: usize| bytes[index / 8] >> (7 - index % 8) & 1;
    match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (0..usize::from(length))
            .all(|index| bit_of(&a.octets(), index) == bit_of(&b.octets(), index)),
        (IpAddr::V6(a), IpAddr::V6(b)) => (0..usize::from(length))
            .all(|index| bit_of(&a.octets(), index) == bit_of(&b.octets(), index)),
        _ => false,
    }
}

fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn block(text: &str) -> (IpAddr, u8) {
    let (base, length) = text.split_once('/').unwrap();
    (base.parse().unwrap(), length.parse().unwrap())
}

const LOCAL: &[&str] = &[
    "198.18.0.1/32",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "::1/128",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fe80::/10",
    "64:ff9b:1::/48",
];
const NEVER: &[&str] = &["0.0.0.0/8", "224.0.0.0/3", "ff00::/8"];
const PRIVATE: &[&str] = &[
    "10.0.0.0/8",
    "100.64.0.0/10",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
];
/// All of IPv6 that is public.
const PUBLIC_V6: &[&str] = &["2000::/3", "64:ff9b::/96"];

fn is_in(list: &[&str], address: IpAddr) -> bool {
    list.iter().any(|text| {
        let (base, length) = block(text);
        in_block(address, base, length)
    })
}

fn is_private(address: IpAddr) -> bool {
    is_in(PRIVATE, address) || (address.is_ipv6() && !is_in(PUBLIC_V6, address))
}

/// The address, and the IPv4 addresses that a translator or the network card may make of it.
fn meanings(address: IpAddr) -> Vec<IpAddr> {
    let host = (address.to_string() == "198.18.0.1").then_some(Ipv4Addr::LOCALHOST);
    let others = translations(address)
        .into_iter()
        .chain(host)
        .map(IpAddr::V4);
    [address].into_iter().chain(others).collect()
}

/// From the address in hexadecimal digits, by the table of RFC 6052 section 2.2 and the prefixes of others.
fn translations(address: IpAddr) -> Vec<Ipv4Addr> {
    let IpAddr::V6(v6) = address else {
        return Vec::new();
    };
    let digits: String = v6.octets().iter().map(|it| format!("{it:02x}")).collect();
    let read = |digits: String| Ipv4Addr::from(u32::from_str_radix(&digits, 16).unwrap());
    let last = read(digits[24..].to_owned());
    if digits.starts_with("0064ff9b0001") {
        // Without the digits 16 and 17, which are zero in every address with an IPv4 address before them.
        let without_u = format!("{}{}", &digits[..16], &digits[18..]);
        let all = [12, 14, 16].map(|at| read(without_u[at..at + 8].to_owned()));
        let all = [all[0], all[1], all[2], last];
        let mut real: Vec<_> = all
            .iter()
            .filter(|it| it.octets()[0] > 0)
            .copied()
            .collect();
        if real.is_empty() {
            real.push(last);
        }
        return real;
    }
    let prefixes = ["0064ff9b0000000000000000", "0000000000000000ffff0000"];
    if prefixes.iter().any(|prefix| digits.starts_with(prefix)) {
        return vec![last];
    }
    if digits.starts_with("2002") {
        return vec![read(digits[4..12].to_owned())];
    }
    Vec::new()
}

/// What the documentation says, in its order.
fn model(
    (allow, deny): (&[Written], &[Written]),
    protocol: &str,
    address: IpAddr,
    port: u16,
    names: &[String],
) -> bool {
    let address = plain(address);
    let is_host = address == IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
    let meanings = meanings(address);
    if meanings.iter().any(|it| is_in(NEVER, *it)) {
        return false;
    }
    let is_denied = deny.iter().any(|rule| {
        rule.covers(protocol, port)
            && (meanings.iter().any(|it| rule.has_address(*it))
                || names.iter().any(|name| rule.has_name(name)))
    });
    if is_denied {
        return false;
    }
    allow.iter().any(|rule| {
        let leads_there =
            rule.has_address(address) || names.first().is_some_and(|name| rule.has_name(name));
        let may_be_local = translations(address)
            .iter()
            .any(|it| is_in(LOCAL, IpAddr::V4(*it)));
        let names_local = rule.private
            && !may_be_local
            && LOCAL.iter().any(|text| {
                let (base, length) = block(text);
                in_block(address, base, length)
                    && rule.cidr.is_some_and(|(own, own_length)| {
                        own_length >= length && in_block(own, base, length)
                    })
            });
        let names_host = rule.private && is_host && rule.host.as_deref() == Some(HOST_NAME);
        let admits = match () {
            _ if meanings.iter().any(|it| is_in(LOCAL, *it)) => names_local || names_host,
            _ if meanings.iter().any(|it| is_private(*it)) => rule.private,
            _ => true,
        };
        rule.covers(protocol, port) && leads_there && admits
    })
}

fn label() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "com"])
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(label(), 1..4).prop_map(|labels| labels.join(".")),
        1 => Just(HOST_NAME.to_owned()),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let any = prop_oneof![3 => label(), 1 => Just("*")];
    let labels = prop::collection::vec(any, 0..3);
    prop_oneof![
        5 => (prop::bool::ANY, labels).prop_filter_map("empty", |(is_open, labels)| {
            let stars = is_open.then_some("**");
            let all: Vec<&str> = stars.into_iter().chain(labels).collect();
            (!all.is_empty()).then(|| all.join("."))
        }),
        1 => Just(HOST_NAME.to_owned()),
    ]
}

/// Few addresses, so that rules meet them, from every kind of place.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![3 => known_address(), 1 => behind_translator()]
}

/// An IPv4 address where RFC 6052 puts it behind a prefix of each length, with anything around it.
fn behind_translator() -> impl Strategy<Value = IpAddr> {
    let embedded = prop::sample::select(vec![
        [8, 8, 8, 8],
        [10, 1, 2, 3],
        [127, 0, 0, 1],
        [169, 254, 169, 254],
        [0, 0, 0, 1],
        [224, 0, 0, 1],
    ]);
    let prefix = prop::sample::select(vec!["64:ff9b::", "64:ff9b:1::", "64:ff9b:2::"]);
    let places = prop::sample::select(vec![
        [4, 5, 6, 7],
        [5, 6, 7, 9],
        [6, 7, 9, 10],
        [7, 9, 10, 11],
        [9, 10, 11, 12],
        [12, 13, 14, 15],
    ]);
    let around = prop_oneof![Just([0; 16]), any::<[u8; 16]>()];
    (prefix, embedded, places, around).prop_map(|(prefix, embedded, places, around)| {
        let mut bytes = prefix.parse::<Ipv6Addr>().unwrap().octets();
        bytes[6..].copy_from_slice(&around[6..]);
        for (place, byte) in places.into_iter().zip(embedded) {
            bytes[place] = byte;
        }
        IpAddr::V6(bytes.into())
    })
}

fn known_address() -> impl Strategy<Value = IpAddr> {
    let texts = "8.8.8.8 8.8.8.9 9.0.0.1 10.1.2.3 192.168.0.1 127.0.0.1 169.254.169.254 198.18.0.1 198.18.0.9 \
        0.0.0.0 224.0.0.1 255.255.255.255 168.63.129.16 100.100.100.200 100.64.0.1 192.0.0.192 200::1 \
        4000::1 ::ffff:0:a9fe:a9fe ::ffff:0:808:808 64:ff9b::a9fe:a9fe 64:ff9b::808:808 \
        64:ff9b:1::a9fe:a9fe 64:ff9b:1:2::808:808 2002:7f00:1:: 2002:808:808:: 2600::1 2600:1::1 \
        fd00::1 fd00:ec2::254 fd20:ce::254 fe80::1 ::1 ff02::1 ::ffff:8.8.8.8 ::ffff:127.0.0.1 \
        ::ffff:10.1.2.3";
    let texts: Vec<&str> = texts.split(' ').collect();
    prop::sample::select(texts).prop_map(|text| text.parse().unwrap())
}

fn cidr() -> impl Strategy<Value = (IpAddr, u8)> {
    (address(), 0u8..=128).prop_map(|(address, length)| match plain(address) {
        IpAddr::V4(v4) => {
            let length = length.min(32);
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            (IpAddr::V4((u32::from(v4) & mask).into()), length)
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            (IpAddr::V6((u128::from(v6) & mask).into()), length)
        }
    })
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![1u16..6, Just(u16::MAX), 1u16..]
}

fn rule(private: impl Strategy<Value = bool>) -> impl Strategy<Value = Written> {
    let target = prop_oneof![
        pattern().prop_map(|host| (Some(host), None)),
        cidr().prop_map(|cidr| (None, Some(cidr))),
    ];
    let range = (port(), port()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let ports = prop::collection::vec(range, 0..4);
    let protocol = prop::sample::select(vec![None, Some("tcp"), Some("udp")]);
    (target, ports, protocol, private).prop_map(|((host, cidr), ports, protocol, private)| {
        Written {
            host,
            cidr,
            ports,
            protocol,
            private,
        }
    })
}

fn rules() -> impl Strategy<Value = (Vec<Written>, Vec<Written>)> {
    (
        prop::collection::vec(rule(prop::bool::ANY), 0..4),
        prop::collection::vec(rule(Just(false)), 0..3),
    )
}

fn policy_of(allow: &[Written], deny: &[Written]) -> Policy {
    let list = |rules: &[Written]| -> Value { rules.iter().map(Written::json).collect() };
    let json = json!({ "allow": list(allow), "deny": list(deny) });
    // A mapped block is never written: `plain` has made its base an IPv4 address.
    Policy::from_json(json.to_string().as_bytes()).expect("a policy")
}

fn protocol_of(is_tcp: bool) -> (Protocol, &'static str) {
    if is_tcp {
        (Protocol::Tcp, "tcp")
    } else {
        (Protocol::Udp, "udp")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_flow_is_decided_as_the_model_decides_it(
        (allow, deny) in rules(),
        is_tcp: bool,
        address in address(),
        port in port(),
        names in prop::collection::vec(name(), 0..3),
    ) {
        let (protocol, protocol_name) = protocol_of(is_tcp);
        let known: Vec<Name> = names.iter().map(|name| Name::new(name).unwrap()).collect();
        let flow = Flow { protocol, address: Some(address), port, names: &known };
        let policy = policy_of(&allow, &deny);
        let decision = policy.decide(&flow);
        let expected = model((&allow, &deny), protocol_name, address, port, &names);
        prop_assert_eq!(decision.is_allowed(), expected, "{:?}", decision);

        let Decision::Denied(reason) = decision else { return Ok(()) };
        // The rule that is recommended does what it is recommended for, unless a denial stands in its way.
        if let Some(rule) = policy.would_allow(&flow, reason) {
            let mut wider = policy.clone();
            wider.allow.push(rule.clone());
            prop_assert!(wider.decide(&flow).is_allowed(), "{}", rule);
        }
    }

    #[test]
    fn a_name_is_asked_for_where_some_port_of_it_is_allowed(
        (allow, deny) in rules(),
        name in name(),
    ) {
        let policy = policy_of(&allow, &deny);
        let known = [Name::new(&name).unwrap()];
        let by_name = |rules: &[Written]| -> Vec<Written> {
            rules.iter().filter(|rule| rule.host.is_some()).cloned().collect()
        };
        let (allow, deny) = (by_name(&allow), by_name(&deny));
        let public: IpAddr = "93.184.216.34".parse().unwrap();
        // Every port that a rule could tell from its neighbours.
        let edges = allow.iter().chain(&deny).flat_map(|rule| rule.ports.clone());
        let ports: Vec<u16> = edges
            .flat_map(|(a, b)| [a, a.saturating_sub(1).max(1), b, b.saturating_add(1)])
            .chain([1, u16::MAX])
            .collect();
        let expected = ports.iter().any(|port| ["tcp", "udp"].iter().any(|protocol| {
            model((&allow, &deny), protocol, public, *port, std::slice::from_ref(&name))
        }));
        let decision = policy.decide_question(&known[0]);
        prop_assert_eq!(decision.is_allowed(), expected);
        if let Decision::Allowed(index) = decision {
            prop_assert!(index < policy.allow.len());
        }
    }

    #[test]
    fn a_policy_is_written_as_it_is_read((allow, deny) in rules()) {
        let policy = policy_of(&allow, &deny);
        let json = serde_json::to_vec(&policy).unwrap();
        prop_assert_eq!(Policy::from_json(&json), Ok(policy));
    }

    #[test]
    fn a_request_is_read_as_it_is_written(
        is_tcp: bool,
        bytes: [u8; 16],
        port in 1u16..,
        name in prop::option::of(name()),
        rest: Vec<u8>,
    ) {
        let request = Request::Flow {
            protocol: protocol_of(is_tcp).0,
            address: plain(IpAddr::V6(Ipv6Addr::from(bytes))),
            port,
            name: name.map(|name| Name::new(&name).unwrap()),
        };
        let encoded = request.encode();
        let all = [&encoded[..], &rest].concat();
        prop_assert_eq!(Request::decode(&all), Ok(Some((request, encoded.len()))));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Policy::from_json(&bytes);
        let _ = split_frame(&bytes);
        if let Ok(Some((request, length))) = Request::decode(&bytes) {
            prop_assert_eq!(request.encode(), &bytes[..length]);
        }
    }
}
