//! Sets of TCP and UDP ports: numbers and `first-last`, sorted and merged, so that equal sets are written alike.

use std::fmt;

use serde::de::Error as _;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// More ranges than this in one rule are refused.
pub const MAX_RANGES: usize = 64;

/// Inclusive ranges in ascending order that neither touch nor overlap; none stands for every port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(Vec<(u16, u16)>);

impl Ports {
    /// Every port.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// One port.
    #[must_use]
    pub fn one(port: u16) -> Self {
        Self(vec![(port, port)])
    }

    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.is_all()
            || self
                .0
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&port))
    }

    /// The ports where such sets begin, and the ones after their ends: a set that is not all in others
    /// has one of these that is in none of them.
    pub(crate) fn edges(&self) -> impl Iterator<Item = u16> {
        let all = self.is_all().then_some((1, u16::MAX));
        let ranges = self.0.iter().copied().chain(all);
        ranges.flat_map(|(first, last)| [first, last.saturating_add(1)])
    }

    fn from_ranges(mut ranges: Vec<(u16, u16)>) -> Result<Self, String> {
        if ranges.is_empty() {
            return Err("a list of ports is empty".to_owned());
        }
        if ranges.len() > MAX_RANGES {
            return Err(format!(
                "a rule has {} port ranges; at most {MAX_RANGES} are allowed",
                ranges.len()
            ));
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Ok(Self(merged))
    }
}

/// A port is 1 to 65535.
fn parse_port(text: &str) -> Option<u16> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|port| is_decimal && *port > 0)
}

fn parse_range(text: &str) -> Result<(u16, u16), String> {
    let invalid = || format!("{text:?} is not a port or a range of ports");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = parse_port(first)
        .zip(parse_port(last))
        .ok_or_else(invalid)?;
    if first > last {
        return Err(invalid());
    }
    Ok((first, last))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u16),
    Text(String),
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<Written>::deserialize(deserializer)?;
        let ranges: Result<Vec<_>, String> = list
            .into_iter()
            .map(|item| match item {
                Written::Number(0) => Err("0 is not a port".to_owned()),
                Written::Number(port) => Ok((port, port)),
                Written::Text(text) => parse_range(&text),
            })
            .collect();
        ranges.and_then(Self::from_ranges).map_err(D::Error::custom)
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (first, last) in &self.0 {
            if first == last {
                list.serialize_element(first)?;
            } else {
                list.serialize_element(&format!("{first}-{last}"))?;
            }
        }
        list.end()
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}'{first}-{last}'")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> Result<String, serde_json::Error> {
        serde_json::from_str::<Ports>(json).and_then(|ports| serde_json::to_string(&ports))
    }

    #[test]
    fn equal_sets_are_written_alike() {
        let text = written(r#"["8001-8100", 443, "80", 8000, "8050-8060"]"#).unwrap();
        assert_eq!(text, r#"[80,443,"8000-8100"]"#);
        assert_eq!(written(&text).unwrap(), text);
    }

    #[test]
    fn refuses_what_is_not_a_port() {
        for json in [
            "[]",
            "[0]",
            "[65536]",
            "[-1]",
            r#"["1-"]"#,
            r#"["9-1"]"#,
            r#"["+1"]"#,
            r#"["01"]"#,
            r#"["0-9"]"#,
            r#"[""]"#,
            "[1.5]",
            "443",
        ] {
            assert!(written(json).is_err(), "{json}");
        }
        let many: Vec<u16> = (1..=65).map(|port| port * 2).collect();
        assert!(written(&serde_json::to_string(&many).unwrap()).is_err());
    }
}
