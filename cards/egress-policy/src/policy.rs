//! The rules: `{"allow": [...], "deny": [...]}`, as `manifest.json` of an image has them under `egress`. Hostile
//! input: bounded, and what is not known is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::Cidr;
use crate::name::HostPattern;
use crate::object::Object;
use crate::ports::Ports;

/// Rules in each list.
pub const MAX_RULES: usize = 256;
/// A policy's JSON.
pub const MAX_POLICY_BYTES: usize = 512 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

/// Where a rule leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Host(HostPattern),
    Cidr(Cidr),
}

/// One rule; of a protocol or of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Object<WrittenRule>", into = "WrittenRule")]
pub struct Rule {
    pub target: Target,
    pub ports: Ports,
    pub protocol: Option<Protocol>,
    /// Whether it also allows addresses that are not public.
    pub private: bool,
}

impl Rule {
    /// Whether it is about this protocol and port, wherever it leads.
    #[must_use]
    pub fn covers(&self, protocol: Protocol, port: u16) -> bool {
        self.protocol.is_none_or(|it| it == protocol) && self.ports.contains(port)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostPattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cidr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ports: Option<Ports>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    private: bool,
}

impl TryFrom<Object<WrittenRule>> for Rule {
    type Error = String;

    fn try_from(Object(written): Object<WrittenRule>) -> Result<Self, String> {
        let target = match (written.host, written.cidr) {
            (Some(host), None) => Target::Host(host),
            (None, Some(cidr)) => Target::Cidr(cidr.parse()?),
            _ => return Err("a rule needs a host or a cidr, and not both".to_owned()),
        };
        Ok(Self {
            target,
            ports: written.ports.unwrap_or_default(),
            protocol: written.protocol,
            private: written.private,
        })
    }
}

impl From<Rule> for WrittenRule {
    fn from(rule: Rule) -> Self {
        let (host, cidr) = match rule.target {
            Target::Host(host) => (Some(host), None),
            Target::Cidr(cidr) => (None, Some(cidr.to_string())),
        };
        Self {
            host,
            cidr,
            ports: (!rule.ports.is_all()).then_some(rule.ports),
            protocol: rule.protocol,
            private: rule.private,
        }
    }
}

/// As it is written in `cloister.yaml`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            // A star begins an alias in YAML.
            Target::Host(host) if host.as_str().contains('*') => write!(f, "{{ host: '{host}'")?,
            Target::Host(host) => write!(f, "{{ host: {host}")?,
            Target::Cidr(cidr) => write!(f, "{{ cidr: '{cidr}'")?,
        }
        if !self.ports.is_all() {
            write!(f, ", ports: [{}]", self.ports)?;
        }
        match self.protocol {
            Some(Protocol::Tcp) => f.write_str(", protocol: tcp")?,
            Some(Protocol::Udp) => f.write_str(", protocol: udp")?,
            None => {}
        }
        if self.private {
            f.write_str(", private: true")?;
        }
        f.write_str(" }")
    }
}

/// What may be reached: what a rule of `allow` covers and no rule of `deny` does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Object<WrittenPolicy>")]
pub struct Policy {
    pub allow: Vec<Rule>,
    pub deny: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPolicy {
    #[serde(default)]
    allow: Vec<Rule>,
    #[serde(default)]
    deny: Vec<Rule>,
}

impl TryFrom<Object<WrittenPolicy>> for Policy {
    type Error = String;

    fn try_from(Object(written): Object<WrittenPolicy>) -> Result<Self, String> {
        for (list, name) in [(&written.allow, "allow"), (&written.deny, "deny")] {
            if list.len() > MAX_RULES {
                return Err(format!(
                    "{name} has {} rules; at most {MAX_RULES} are allowed",
                    list.len()
                ));
            }
        }
        if written.deny.iter().any(|rule| rule.private) {
            return Err("a rule of deny holds for every address: leave out private".to_owned());
        }
        Ok(Self {
            allow: written.allow,
            deny: written.deny,
        })
    }
}

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// Reads a policy's JSON.
    ///
    /// # Errors
    /// When it is too long, not JSON, or not a policy.
    pub fn from_json(json: &[u8]) -> Result<Self, PolicyError> {
        if json.len() > MAX_POLICY_BYTES {
            return Err(PolicyError(format!(
                "the policy has {} bytes; at most {MAX_POLICY_BYTES} are allowed",
                json.len()
            )));
        }
        serde_json::from_slice(json).map_err(|error| PolicyError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_in_one_form() {
        let json = br#"{"allow":[{"host":"API.example.com","ports":["443"]},
            {"protocol":"tcp","cidr":"10.1.0.0/16","private":true,"ports":["80-81",82]}]}"#;
        let policy = Policy::from_json(json).unwrap();
        let written = serde_json::to_string(&policy).unwrap();
        assert_eq!(
            written,
            r#"{"allow":[{"host":"api.example.com","ports":[443]},{"cidr":"10.1.0.0/16","ports":["80-82"],"protocol":"tcp","private":true}],"deny":[]}"#
        );
        assert_eq!(Policy::from_json(written.as_bytes()).unwrap(), policy);
        assert_eq!(
            policy.allow[1].to_string(),
            "{ cidr: '10.1.0.0/16', ports: ['80-82'], protocol: tcp, private: true }"
        );
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for json in [
            r#"{"allow":[{}]}"#,
            r#"{"allow":[{"host":"a.b","cidr":"1.2.3.4/32"}]}"#,
            r#"{"allow":[{"host":"a.b","port":1}]}"#,
            r#"{"allow":[{"host":"a.b","host":"b.c"}]}"#,
            r#"{"allow":[{"host":"a.b","protocol":"sctp"}]}"#,
            r#"{"allow":[{"host":"a.b","private":1}]}"#,
            r#"{"deny":[{"host":"a.b","private":true}]}"#,
            r#"{"allow":{}}"#,
            r#"{"rules":[]}"#,
            r#"{"allow":[["a.b"]]}"#,
            "[]",
            "",
            "{} {}",
        ] {
            assert!(Policy::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }
}
