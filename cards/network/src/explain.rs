//! What rules decide about a flow that a person names: `HOST:PORT`, `[ADDRESS]:PORT`, with `/udp`.

use std::net::IpAddr;

use cloister_egress_policy::decision::{Decision, Explanation, Reason};
use cloister_egress_policy::policy::Target;
use cloister_egress_policy::{Flow, HOST_ADDRESS, HOST_NAME, Name, Policy, Protocol};

/// Decides the flow; a name is taken to have public addresses, but for the host's own.
///
/// # Errors
/// A sentence when the text is not a flow.
pub fn explain(policy: &Policy, text: &str) -> Result<Explanation, String> {
    let invalid = || format!("{text:?} is not HOST:PORT, with /udp for UDP");
    let (protocol, rest) = match text.rsplit_once('/') {
        Some((rest, "udp")) => (Protocol::Udp, rest),
        Some((rest, "tcp")) => (Protocol::Tcp, rest),
        Some(_) => return Err(invalid()),
        None => (Protocol::Tcp, text),
    };
    let (host, port) = rest.rsplit_once(':').ok_or_else(invalid)?;
    let port: u16 = port.parse().map_err(|_| invalid())?;
    if port == 0 {
        return Err(invalid());
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let (address, names) = match bare.parse::<IpAddr>() {
        Ok(address) => (Some(address), Vec::new()),
        Err(_) => {
            let name = Name::new(bare).map_err(|_| invalid())?;
            if name.is_number() {
                return Err(format!(
                    "{bare:?} is an address to some programs: write it as four numbers"
                ));
            }
            let is_host = name.as_str() == HOST_NAME;
            (is_host.then_some(HOST_ADDRESS.into()), vec![name])
        }
    };
    let flow = Flow {
        protocol,
        address,
        port,
        names: &names,
    };
    let decision = policy.decide(&flow);
    let mut explanation = policy.explain(&flow, decision);
    if matches!(decision, Decision::Denied(Reason::Rule(_)))
        && flow.address.is_none()
        && let Some(index) = by_address(policy, &flow)
    {
        explanation.why += &format!(" as this name only: allow[{index}] has addresses");
    }
    Ok(explanation)
}

/// A rule of `allow` by which a program may get there though the name is denied: it need not look it up.
fn by_address(policy: &Policy, flow: &Flow) -> Option<usize> {
    policy.allow.iter().position(|rule| {
        matches!(rule.target, Target::Cidr(_)) && rule.covers(flow.protocol, flow.port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explains_names_and_addresses() {
        let policy = Policy::from_json(
            br#"{"allow":[{"host":"a.b","ports":[443],"protocol":"tcp"},{"cidr":"2600::/16"}]}"#,
        )
        .unwrap();
        for (flow, expected) in [
            ("a.b:443", true),
            ("A.B:443/tcp", true),
            ("a.b:443/udp", false),
            ("a.b:80", false),
            ("[2600::1]:9", true),
            ("2600::1:9", true),
            ("127.0.0.1:80", false),
        ] {
            let explanation = explain(&policy, flow).unwrap();
            assert_eq!(explanation.is_allowed, expected, "{flow}");
        }
        let policy = Policy::from_json(
            br#"{"allow":[{"host":"**"},{"cidr":"0.0.0.0/0","ports":[443]}],"deny":[{"host":"a.b"}]}"#,
        )
        .unwrap();
        let why = |flow| explain(&policy, flow).unwrap().why;
        assert_eq!(
            why("a.b:443"),
            "denied by deny[0] as this name only: allow[1] has addresses"
        );
        assert_eq!(why("a.b:80"), "denied by deny[0]");
        for flow in ["a.b", "a.b:0", "a.b:65536", "a b:1", "a.b:1/icmp", ":1"] {
            assert!(explain(&policy, flow).is_err(), "{flow}");
        }
    }

    #[test]
    fn says_nothing_of_an_address_in_a_spelling_that_only_programs_read() {
        let policy = Policy::from_json(br#"{"allow":[{"host":"**"}]}"#).unwrap();
        for flow in ["127.1:80", "2130706433:80", "0x7f000001:80", "010.8.8.8:80"] {
            let error = explain(&policy, flow).unwrap_err();
            assert!(error.contains("four numbers"), "{error}");
        }
    }
}
