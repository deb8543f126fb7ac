//! Which ports may be dialled. Closed by default: a guest reaches only the reserved parent ports,
//! and the host reaches no guest port until one is opened.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// More ranges than this are refused, so that a look-up stays short.
const MAX_RANGES: usize = 256;
/// Heartbeat, NSM and agent: what every enclave needs of its parent.
const RESERVED_PARENT_PORTS: RangeInclusive<u32> = 9000..=9002;

/// A set of ports, written `all`, `none` or as a list such as `9000-9002,8080`. Its ranges are sorted
/// and neither touch nor overlap, so equal sets have the same text.
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

    fn with(&self, added: &Self) -> Result<Self, PortSetError> {
        Self::merged([&self.0[..], &added.0[..]].concat()).bounded()
    }

    fn without(&self, removed: &Self) -> Result<Self, PortSetError> {
        let left = removed.0.iter().fold(self.0.clone(), |ranges, hole| {
            ranges.iter().flat_map(|range| cut(range, hole)).collect()
        });
        Self(left).bounded()
    }

    fn merged(mut ranges: Vec<RangeInclusive<u32>>) -> Self {
        ranges.sort_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u32>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*range.end().max(last.end());
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    fn bounded(self) -> Result<Self, PortSetError> {
        if self.0.len() > MAX_RANGES {
            return Err(PortSetError::TooManyRanges(self.0.len()));
        }
        Ok(self)
    }
}

/// What of `range` lies outside `hole`.
fn cut(range: &RangeInclusive<u32>, hole: &RangeInclusive<u32>) -> Vec<RangeInclusive<u32>> {
    let below = hole
        .start()
        .checked_sub(1)
        .map(|last| *range.start()..=last.min(*range.end()));
    let above = hole
        .end()
        .checked_add(1)
        .map(|first| first.max(*range.start())..=*range.end());
    [below, above]
        .into_iter()
        .flatten()
        .filter(|rest| !rest.is_empty())
        .collect()
}

#[derive(Debug, PartialEq, Eq)]
pub enum PortSetError {
    /// A text that is not a list of ports.
    Malformed(String),
    /// More than 256 ranges.
    TooManyRanges(usize),
}

impl fmt::Display for PortSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => write!(f, "{text:?} is not a valid port list"),
            Self::TooManyRanges(count) => {
                write!(
                    f,
                    "a port list has {count} ranges; at most {MAX_RANGES} are allowed"
                )
            }
        }
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
        let count = text.split(',').count();
        if count > MAX_RANGES {
            return Err(PortSetError::TooManyRanges(count));
        }
        let ranges: Option<Vec<_>> = text.split(',').map(parse_range).collect();
        ranges
            .map(Self::merged)
            .ok_or_else(|| PortSetError::Malformed(text.to_owned()))
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
pub struct Ports {
    /// Ports of the parent that the guest may dial.
    pub parent_ports: PortSet,
    /// Ports of the guest that the host may dial.
    pub guest_ports: PortSet,
}

impl Ports {
    #[must_use]
    pub fn none() -> Self {
        Self {
            parent_ports: PortSet::none(),
            guest_ports: PortSet::none(),
        }
    }
}

/// What is open: the reserved ports, always, and what the keeper has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    reserved: Ports,
    open: Ports,
}

impl Policy {
    /// A policy under which nothing but the reserved parent ports is open.
    #[must_use]
    pub fn closed(reserved: PortSet) -> Self {
        let reserved = Ports {
            parent_ports: reserved,
            guest_ports: PortSet::none(),
        };
        let open = reserved.clone();
        Self { reserved, open }
    }

    /// The same with guest ports that stay open.
    ///
    /// # Errors
    /// When a set falls into too many ranges.
    pub fn with_reserved_guest_ports(mut self, ports: &PortSet) -> Result<Self, PortSetError> {
        self.reserved.guest_ports = self.reserved.guest_ports.with(ports)?;
        self.open.guest_ports = self.open.guest_ports.with(ports)?;
        Ok(self)
    }

    /// The parent ports that belong to the keeper.
    #[must_use]
    pub fn reserved(&self) -> &PortSet {
        &self.reserved.parent_ports
    }

    /// Whether programs of this host may dial a port of the guest. Those that belong to the keeper are its
    /// cards' alone.
    #[must_use]
    pub fn is_open_to_programs(&self, guest_port: u32) -> bool {
        self.open.guest_ports.contains(guest_port)
            && !self.reserved.guest_ports.contains(guest_port)
    }

    /// Every port that is open.
    #[must_use]
    pub fn open(&self) -> &Ports {
        &self.open
    }

    /// # Errors
    /// When a set falls into too many ranges.
    pub fn with_open(&self, opened: &Ports) -> Result<Self, PortSetError> {
        Ok(Self {
            reserved: self.reserved.clone(),
            open: Ports {
                parent_ports: self.open.parent_ports.with(&opened.parent_ports)?,
                guest_ports: self.open.guest_ports.with(&opened.guest_ports)?,
            },
        })
    }

    /// The reserved ports stay open.
    ///
    /// # Errors
    /// When a set falls into too many ranges.
    pub fn with_closed(&self, closed: &Ports) -> Result<Self, PortSetError> {
        let parent_ports = self.open.parent_ports.without(&closed.parent_ports)?;
        let guest_ports = self.open.guest_ports.without(&closed.guest_ports)?;
        Ok(Self {
            reserved: self.reserved.clone(),
            open: Ports {
                parent_ports: parent_ports.with(&self.reserved.parent_ports)?,
                guest_ports: guest_ports.with(&self.reserved.guest_ports)?,
            },
        })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::closed(PortSet(vec![RESERVED_PARENT_PORTS]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_closed_by_default_except_for_the_reserved_ports() {
        let open = Policy::default().open().clone();
        assert!((9000..=9002).all(|port| open.parent_ports.contains(port)));
        assert!(!open.parent_ports.contains(8999) && !open.parent_ports.contains(9003));
        assert_eq!(open.guest_ports, PortSet::none());
    }

    #[test]
    fn refuses_what_is_not_a_port_list() {
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

    #[test]
    fn a_list_of_more_than_256_ranges_is_refused_however_it_comes_about() {
        let odd = |count: u32| {
            (0..count)
                .map(|n| (2 * n + 1).to_string())
                .collect::<Vec<_>>()
        };
        let longest: PortSet = odd(256).join(",").parse().unwrap();
        let longer = odd(257).join(",").parse::<PortSet>();
        assert_eq!(longer, Err(PortSetError::TooManyRanges(257)));
        assert_eq!(
            longest.with(&port_set("1000")),
            Err(PortSetError::TooManyRanges(257))
        );
        let halved = port_set("all").without(&longest);
        assert_eq!(halved, Err(PortSetError::TooManyRanges(257)));
    }

    #[test]
    fn reserved_ports_cannot_be_closed() {
        let all = Ports {
            parent_ports: port_set("all"),
            guest_ports: port_set("all"),
        };
        let opened = Policy::default().with_open(&all).unwrap();
        assert_eq!(opened.with_closed(&all), Ok(Policy::default()));
        let without_nsm = Policy::closed(port_set("9000,9002"));
        let closed = without_nsm.with_open(&all).unwrap().with_closed(&all);
        assert_eq!(closed.unwrap().open().parent_ports.to_string(), "9000,9002");
        let with_guest_port = Policy::default().with_reserved_guest_ports(&port_set("9004"));
        let closed = with_guest_port.unwrap().with_open(&all).unwrap();
        let closed = closed.with_closed(&all).unwrap();
        assert_eq!(closed.open().guest_ports.to_string(), "9004");
    }

    fn port_set(text: &str) -> PortSet {
        text.parse().unwrap()
    }

    fn any_set() -> impl Strategy<Value = PortSet> {
        prop::collection::vec((0..40_u32, 0..40_u32), 0..8).prop_map(|bounds| {
            PortSet::merged(bounds.iter().map(|(a, b)| *a.min(b)..=*a.max(b)).collect())
        })
    }

    proptest! {
        #[test]
        fn a_set_survives_its_text(bounds in prop::collection::vec((any::<u32>(), any::<u32>()), 1..20)) {
            let set = PortSet::merged(bounds.iter().map(|(a, b)| *a.min(b)..=*a.max(b)).collect());
            prop_assert_eq!(set.to_string().parse::<PortSet>(), Ok(set));
        }

        #[test]
        fn any_text_is_a_set_or_an_error(text: String) {
            let _ = text.parse::<PortSet>();
        }

        #[test]
        fn sets_are_opened_and_closed_port_by_port(a in any_set(), b in any_set()) {
            let (both, less) = (a.with(&b).unwrap(), a.without(&b).unwrap());
            for port in 0..42 {
                prop_assert_eq!(both.contains(port), a.contains(port) || b.contains(port));
                prop_assert_eq!(less.contains(port), a.contains(port) && !b.contains(port));
            }
            prop_assert_eq!(PortSet::merged(less.0.clone()), less);
        }
    }
}
