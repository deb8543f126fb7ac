//! What the rules decide about a flow or a question, and why: which rule decided, or which one would allow it.

use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use crate::address::{Cidr, Reach, embedded_v4, normalise, reach_of};
use crate::name::{HostPattern, Name};
use crate::policy::{Policy, Protocol, Rule, Target};
use crate::ports::Ports;
use crate::{HOST_ADDRESS, HOST_NAME};

/// What a program asks for.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    pub protocol: Protocol,
    /// Absent where only a name is known: it is then taken to have public addresses, which no CIDR covers.
    pub address: Option<IpAddr>,
    pub port: u16,
    /// The name that the program looked up to get this address, then its aliases (CNAME); none if it looked
    /// up none.
    pub names: &'a [Name],
}

/// Rules by their position in the policy's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// By this rule of `allow`.
    Allowed(usize),
    Denied(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// By this rule of `deny`.
    Rule(usize),
    /// No rule of `allow` covers it.
    NoRule,
    /// This rule of `allow` would, were the address public.
    NotPublic(usize, Reach),
    /// No rule can allow the address.
    Never,
}

impl Reason {
    /// The rule that decided, as `deny[0]` or `allow[0]`; `none` where there is none.
    #[must_use]
    pub fn place(self) -> String {
        match self {
            Self::Rule(index) => format!("deny[{index}]"),
            Self::NotPublic(index, _) => format!("allow[{index}]"),
            Self::NoRule | Self::Never => "none".to_owned(),
        }
    }
}

impl Decision {
    #[must_use]
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

impl Policy {
    /// Decides a flow. A rule of `allow` by host holds for the name that was looked up; one of `deny` also for its
    /// aliases, and wins.
    #[must_use]
    pub fn decide(&self, flow: &Flow) -> Decision {
        let flow = Flow {
            address: flow.address.map(normalise),
            ..*flow
        };
        let reach = flow.address.map_or(Reach::Public, reach_of);
        if reach == Reach::Never {
            return Decision::Denied(Reason::Never);
        }
        let covers = |rule: &&Rule| rule.covers(flow.protocol, flow.port);
        if let Some(index) = position(&self.deny, |rule| covers(&rule) && is_denied(rule, &flow)) {
            return Decision::Denied(Reason::Rule(index));
        }
        let leads_there = |rule: &Rule| covers(&rule) && leads_to(&rule.target, &flow);
        let admits = |rule: &Rule| leads_there(rule) && admits_reach(rule, &flow, reach);
        if let Some(index) = position(&self.allow, admits) {
            return Decision::Allowed(index);
        }
        Decision::Denied(match position(&self.allow, leads_there) {
            Some(index) => Reason::NotPublic(index, reach),
            None => Reason::NoRule,
        })
    }

    /// Decides whether a name may be looked up: where a rule of `allow` by host has a port left for it that no
    /// rule of `deny` takes away. A question alone tells others something, so rules by address allow none.
    #[must_use]
    pub fn decide_question(&self, name: &Name) -> Decision {
        let is_named = |rule: &&Rule| matches!(&rule.target, Target::Host(it) if it.matches(name));
        let denying: Vec<&Rule> = self.deny.iter().filter(is_named).collect();
        let is_left = |rule: &Rule, protocol: Protocol, port: u16| {
            rule.covers(protocol, port) && !denying.iter().any(|deny| deny.covers(protocol, port))
        };
        let has_port = |rule: &Rule| {
            let edges = denying.iter().flat_map(|deny| deny.ports.edges());
            rule.ports.edges().chain(edges).any(|port| {
                is_left(rule, Protocol::Tcp, port) || is_left(rule, Protocol::Udp, port)
            })
        };
        if let Some(index) = position(&self.allow, |rule| is_named(&rule) && has_port(rule)) {
            return Decision::Allowed(index);
        }
        let is_allowed = self.allow.iter().any(|rule| is_named(&rule));
        let index = position(&self.deny, |rule| is_named(&rule));
        Decision::Denied(match index {
            Some(index) if is_allowed => Reason::Rule(index),
            _ => Reason::NoRule,
        })
    }

    /// Says why a flow was decided so.
    #[must_use]
    pub fn explain(&self, flow: &Flow, decision: Decision) -> Explanation {
        match decision {
            Decision::Allowed(index) => Explanation {
                is_allowed: true,
                why: format!("allowed by allow[{index}]"),
                rule: self.allow.get(index).map(ToString::to_string),
                would_allow: None,
            },
            Decision::Denied(reason) => self.explain_refusal(flow, reason),
        }
    }

    /// Says why a name may not be looked up.
    #[must_use]
    pub fn explain_question(&self, name: &Name, reason: Reason) -> Explanation {
        let rule = match reason {
            Reason::Rule(index) => self.deny.get(index),
            _ => None,
        };
        let narrowest = Rule {
            target: Target::Host(HostPattern::of(name)),
            ports: Ports::all(),
            protocol: None,
            private: name.as_str() == HOST_NAME,
        };
        Explanation {
            is_allowed: false,
            why: match reason {
                Reason::Rule(index) => format!("denied by deny[{index}]"),
                _ => "no rule by host allows looking it up".to_owned(),
            },
            rule: rule.map(ToString::to_string),
            would_allow: rule.is_none().then(|| narrowest.to_string()),
        }
    }

    /// The rule to add to `allow` for a flow that was denied: the one that nearly allows it, with `private: true`,
    /// or the narrowest one; nothing where a rule of `deny` must go, or none would help.
    #[must_use]
    pub fn would_allow(&self, flow: &Flow, reason: Reason) -> Option<Rule> {
        match reason {
            Reason::Rule(_) | Reason::Never => None,
            Reason::NotPublic(index, Reach::Private) => {
                let rule = self.allow.get(index)?.clone();
                Some(Rule {
                    private: true,
                    ..rule
                })
            }
            Reason::NotPublic(..) | Reason::NoRule => {
                let reach = flow.address.map_or(Reach::Public, reach_of);
                // None for a local address that is reached by way of a translator.
                Some(narrowest(flow)).filter(|rule| admits_reach(rule, flow, reach))
            }
        }
    }

    fn explain_refusal(&self, flow: &Flow, reason: Reason) -> Explanation {
        let (why, rule) = match reason {
            Reason::Rule(index) => (format!("denied by deny[{index}]"), self.deny.get(index)),
            Reason::NoRule => ("no rule allows it".to_owned(), None),
            Reason::NotPublic(index, reach) => {
                let lacks = match reach {
                    Reach::Local => "does not name this address, which is local to the host",
                    _ => "does not say private: true, and the address is private",
                };
                (format!("allow[{index}] {lacks}"), self.allow.get(index))
            }
            Reason::Never => ("no rule can allow this address".to_owned(), None),
        };
        Explanation {
            is_allowed: false,
            why,
            rule: rule.map(ToString::to_string),
            would_allow: self.would_allow(flow, reason).map(|rule| rule.to_string()),
        }
    }
}

/// A decision in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    #[serde(rename = "allowed")]
    pub is_allowed: bool,
    pub why: String,
    /// The rule that decided, as YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// A rule for `allow` that would allow it, as YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_allow: Option<String>,
}

fn position(rules: &[Rule], predicate: impl Fn(&Rule) -> bool) -> Option<usize> {
    rules.iter().position(predicate)
}

fn leads_to(target: &Target, flow: &Flow) -> bool {
    match target {
        Target::Host(pattern) => flow.names.first().is_some_and(|name| pattern.matches(name)),
        Target::Cidr(cidr) => flow.address.is_some_and(|address| cidr.contains(address)),
    }
}

/// Denied as any of its names, and as what its address is translated to: by others, or by the host part.
fn is_denied(rule: &Rule, flow: &Flow) -> bool {
    match &rule.target {
        Target::Host(pattern) => flow.names.iter().any(|name| pattern.matches(name)),
        Target::Cidr(cidr) => flow.address.is_some_and(|address| {
            let host = is_host(flow).then_some(Ipv4Addr::LOCALHOST);
            let mut translated = embedded_v4(address).chain(host).map(IpAddr::V4);
            cidr.contains(address) || translated.any(|it| cidr.contains(it))
        }),
    }
}

fn admits_reach(rule: &Rule, flow: &Flow, reach: Reach) -> bool {
    match reach {
        Reach::Public => true,
        Reach::Private => rule.private,
        Reach::Local => rule.private && names_place(&rule.target, flow),
        Reach::Never => false,
    }
}

/// Whether a rule names the local address: no name but the host's own stands for one, whatever its answer was.
fn names_place(target: &Target, flow: &Flow) -> bool {
    match target {
        Target::Host(pattern) => pattern.as_str() == HOST_NAME && is_host(flow),
        Target::Cidr(cidr) => flow.address.is_some_and(|address| cidr.names(address)),
    }
}

/// The rule that allows this flow and little else.
fn narrowest(flow: &Flow) -> Rule {
    let reach = flow.address.map_or(Reach::Public, reach_of);
    let is_named =
        |name: &&Name| reach != Reach::Local || (is_host(flow) && name.as_str() == HOST_NAME);
    let target = match (flow.names.first().filter(is_named), flow.address) {
        (Some(name), _) => Target::Host(HostPattern::of(name)),
        (None, address) => Target::Cidr(Cidr::of(address.unwrap_or(IpAddr::V4(HOST_ADDRESS)))),
    };
    Rule {
        target,
        ports: Ports::one(flow.port),
        protocol: Some(flow.protocol),
        private: reach != Reach::Public,
    }
}

fn is_host(flow: &Flow) -> bool {
    flow.address.map(normalise) == Some(IpAddr::V4(HOST_ADDRESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Policy {
        Policy::from_json(json.as_bytes()).unwrap()
    }

    fn names(list: &[&str]) -> Vec<Name> {
        list.iter().map(|name| Name::new(name).unwrap()).collect()
    }

    fn decide(policy: &Policy, address: &str, port: u16, list: &[&str]) -> Decision {
        let flow = Flow {
            protocol: Protocol::Tcp,
            address: Some(address.parse().unwrap()),
            port,
            names: &names(list),
        };
        policy.decide(&flow)
    }

    #[test]
    fn denies_what_no_rule_allows_and_names_the_rule_that_would() {
        let policy = policy(r#"{"allow":[{"host":"a.example","ports":[443]}]}"#);
        assert_eq!(
            decide(&policy, "8.8.8.8", 443, &["a.example"]),
            Decision::Allowed(0)
        );
        let names = names(&["b.example"]);
        let flow = Flow {
            protocol: Protocol::Udp,
            address: Some("8.8.8.8".parse().unwrap()),
            port: 443,
            names: &names,
        };
        let explanation = policy.explain(&flow, policy.decide(&flow));
        assert!(!explanation.is_allowed);
        assert_eq!(
            explanation.would_allow.as_deref(),
            Some("{ host: b.example, ports: [443], protocol: udp }")
        );
    }

    #[test]
    fn a_name_that_turns_private_needs_a_rule_that_says_so() {
        let open = policy(r#"{"allow":[{"host":"**"}]}"#);
        let denied = Decision::Denied(Reason::NotPublic(0, Reach::Private));
        assert_eq!(decide(&open, "10.0.0.1", 80, &["a.b"]), denied);
        let private = policy(r#"{"allow":[{"host":"**","private":true}]}"#);
        assert_eq!(
            decide(&private, "10.0.0.1", 80, &["a.b"]),
            Decision::Allowed(0)
        );
        for local in [
            "169.254.169.254",
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "198.18.0.1",
        ] {
            let denied = Decision::Denied(Reason::NotPublic(0, Reach::Local));
            assert_eq!(decide(&private, local, 80, &["a.b"]), denied, "{local}");
        }
    }

    #[test]
    fn local_addresses_are_reached_only_by_name_or_by_their_own_block() {
        let everything = policy(r#"{"allow":[{"cidr":"0.0.0.0/0","private":true}]}"#);
        assert!(!decide(&everything, "169.254.169.254", 80, &[]).is_allowed());
        assert!(!decide(&everything, "198.18.0.1", 80, &[]).is_allowed());
        assert!(decide(&everything, "192.168.1.1", 80, &[]).is_allowed());
        let imds = policy(r#"{"allow":[{"cidr":"169.254.169.254/32","private":true}]}"#);
        assert!(decide(&imds, "169.254.169.254", 80, &[]).is_allowed());
        let host = policy(
            r#"{"allow":[{"host":"host.cloister.internal","ports":[5432],"private":true}]}"#,
        );
        assert!(decide(&host, "198.18.0.1", 5432, &[HOST_NAME]).is_allowed());
        assert!(!decide(&host, "198.18.0.1", 5433, &[HOST_NAME]).is_allowed());
        assert!(!decide(&host, "198.18.0.1", 5432, &[]).is_allowed());
        assert!(!decide(&host, "127.0.0.1", 5432, &[HOST_NAME]).is_allowed());
    }

    #[test]
    fn a_denial_wins_also_over_an_alias_and_a_translated_address() {
        let open = policy(
            r#"{"allow":[{"host":"**"},{"cidr":"::/0"}],
                "deny":[{"host":"bad.example"},{"cidr":"9.9.9.0/24","ports":["1-100"]}]}"#,
        );
        let denied = |index| Decision::Denied(Reason::Rule(index));
        assert_eq!(
            decide(&open, "8.8.8.8", 80, &["good.example", "bad.example"]),
            denied(0)
        );
        assert_eq!(decide(&open, "64:ff9b::909:909", 80, &[]), denied(1));
        assert!(decide(&open, "64:ff9b::909:909", 101, &[]).is_allowed());
        let private =
            policy(r#"{"allow":[{"cidr":"::/0","private":true}],"deny":[{"cidr":"9.9.9.0/24"}]}"#);
        for address in ["64:ff9b:1::909:909", "::ffff:0:909:909", "2002:909:909::"] {
            assert_eq!(decide(&private, address, 80, &[]), denied(0), "{address}");
        }
    }

    #[test]
    fn a_denial_of_the_host_s_loopback_holds_for_its_alias() {
        let policy = policy(
            r#"{"allow":[{"host":"host.cloister.internal","private":true}],
                "deny":[{"cidr":"127.0.0.0/8","ports":[22]}]}"#,
        );
        let denied = Decision::Denied(Reason::Rule(0));
        assert_eq!(decide(&policy, "198.18.0.1", 22, &[HOST_NAME]), denied);
        assert!(decide(&policy, "198.18.0.1", 5432, &[HOST_NAME]).is_allowed());
    }

    #[test]
    fn a_name_is_looked_up_only_where_a_rule_by_name_has_a_port_left() {
        let policy = policy(
            r#"{"allow":[{"host":"a.b","ports":["10-20"],"protocol":"tcp"},{"cidr":"0.0.0.0/0"},{"host":"c.d"}],
                "deny":[{"host":"a.b","ports":["1-15"]},{"host":"a.b","ports":["16-30"],"protocol":"tcp"},
                        {"host":"c.d","ports":["1-65534"]}]}"#,
        );
        let ask = |name| policy.decide_question(&Name::new(name).unwrap());
        assert_eq!(ask("a.b"), Decision::Denied(Reason::Rule(0)));
        assert_eq!(ask("c.d"), Decision::Allowed(2));
        assert_eq!(ask("e.f"), Decision::Denied(Reason::NoRule));
    }
}
