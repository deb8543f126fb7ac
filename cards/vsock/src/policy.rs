//! Which ports may be dialled. Closed by default: a guest reaches only the reserved parent ports,
//! and the host reaches no guest port until one is declared.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// More ranges than this are refused, so that a look-up stays short.
const MAX_RANGES: usize = 256;
/// Heartbeat, NSM and agent control: what every enclave needs of its parent.
const RESERVED_PARENT_PORTS: RangeInclusive<u32> = 9000..=9002;

/// A set of ports, written `all`, `none` or as a list such as `9000-9002,8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSet(Vec<RangeInclusive<u32>>);

impl PortSet {
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    #[must_use]
    pub fn contains(&self, port: u32) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

/// A text that is not a set of ports.
#[derive(Debug, PartialEq, Eq)]
pub struct PortSetError(String);

impl fmt::Display for PortSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a set of ports: {}", self.0)
    }
}

impl FromStr for PortSet {
    type Err = PortSetError;

    fn from_str(text: &str) -> Result<Self, PortSetError> {
        match text {
            "all" => return Ok(Self(vec![0..=u32::MAX])),
            "none" => return Ok(Self::none()),
            _ => {}
        }
        let ranges: Option<Vec<_>> = text.split(',').map(parse_range).collect();
        ranges
            .filter(|ranges| ranges.len() <= MAX_RANGES)
            .map(Self)
            .ok_or_else(|| PortSetError(text.to_owned()))
    }
}

fn parse_range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = parse_port(first)?..=parse_port(last)?;
    (!range.is_empty()).then_some(range)
}

/// A decimal port; `u32::from_str` alone would take a leading plus sign.
pub fn parse_port(text: &str) -> Option<u32> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("none"),
            [range] if *range == (0..=u32::MAX) => f.write_str("all"),
            ranges => {
                let texts: Vec<_> = ranges.iter().map(range_text).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

fn range_text(range: &RangeInclusive<u32>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

/// Both directions' ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Ports of the parent that the guest may dial.
    pub parent_ports: PortSet,
    /// Ports of the guest that the host may dial.
    pub guest_ports: PortSet,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            parent_ports: PortSet(vec![RESERVED_PARENT_PORTS]),
            guest_ports: PortSet::none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_closed_by_default_except_for_the_reserved_ports() {
        let policy = Policy::default();
        assert!((9000..=9002).all(|port| policy.parent_ports.contains(port)));
        assert!(!policy.parent_ports.contains(8999) && !policy.parent_ports.contains(9003));
        assert!(!policy.guest_ports.contains(5005));
    }

    #[test]
    fn refuses_what_is_not_a_set_of_ports() {
        for text in [
            "",
            "x",
            "1-",
            "-1",
            "2-1",
            "+1",
            "1,",
            "4294967296",
            "1 2",
            "ALL",
        ] {
            assert!(text.parse::<PortSet>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_set_survives_its_text(bounds in prop::collection::vec((any::<u32>(), any::<u32>()), 1..20)) {
            let set = PortSet(bounds.iter().map(|(a, b)| *a.min(b)..=*a.max(b)).collect());
            prop_assert_eq!(set.to_string().parse::<PortSet>(), Ok(set));
        }

        #[test]
        fn any_text_is_a_set_or_an_error(text: String) {
            let _ = text.parse::<PortSet>();
        }
    }
}
