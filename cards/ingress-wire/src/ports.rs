//! `ingress` of a manifest: the ports of the guest that the host may publish. Whoever reads it from an image has had it
//! measured; `src/manifest/ingress.ts` has the same.

use std::num::NonZeroU16;

use cloister_egress_policy::Protocol;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    pub ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Port {
    pub port: NonZeroU16,
    /// Absent: TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    /// Whether the program learns of its peer, by a header in front of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    V2,
}

impl Port {
    /// A TCP port without a header.
    #[must_use]
    pub fn tcp(port: NonZeroU16) -> Self {
        Self {
            port,
            protocol: None,
            proxy_protocol: None,
        }
    }

    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or(Protocol::Tcp)
    }
}

impl Ingress {
    /// What is declared of a port.
    #[must_use]
    pub fn find(&self, protocol: Protocol, port: u16) -> Option<&Port> {
        let is_it = |it: &&Port| it.port.get() == port && it.protocol() == protocol;
        self.ports.iter().find(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> serde_json::Result<Ingress> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_port_is_found_by_number_and_protocol() {
        let json = r#"{"ports":[{"port":53,"protocol":"udp"},{"port":80,"proxyProtocol":"v2"}]}"#;
        let ingress = read(json).unwrap();
        assert!(ingress.find(Protocol::Udp, 53).is_some());
        assert!(ingress.find(Protocol::Tcp, 53).is_none());
        let http = ingress.find(Protocol::Tcp, 80).unwrap();
        assert_eq!(http.proxy_protocol, Some(ProxyProtocol::V2));
        assert_eq!(serde_json::to_string(&ingress).unwrap(), json);
    }

    #[test]
    fn refuses_other_forms() {
        for json in [
            "{}",
            r#"{"ports":[80]}"#,
            r#"{"ports":[{"port":0}]}"#,
            r#"{"ports":[{"port":65536}]}"#,
            r#"{"ports":[{"port":80,"protocol":"sctp"}]}"#,
            r#"{"ports":[{"port":80,"proxyProtocol":"v1"}]}"#,
            r#"{"ports":[],"tls":true}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
