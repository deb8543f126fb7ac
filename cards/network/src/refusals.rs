//! What was refused. By destination: reported once each, and counted, up to a limit. By rule: all of it, for there are
//! only so many rules.

use std::collections::{BTreeMap, HashMap};

use cloister_egress_policy::wire::Status;
use serde::Serialize;

use crate::judge::Refusal;

const MAX_DESTINATIONS: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    pub destination: String,
    /// `image` or `host`: whose policy denies it.
    pub by: &'static str,
    pub why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_allow: Option<String>,
    pub count: u64,
}

/// Everything that one rule refused, or the lack of one.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct RefusedByRule<'a> {
    /// `image` or `host`.
    pub by: &'static str,
    /// `deny[0]`, `allow[0]` or `none`.
    pub rule: &'a str,
    pub count: u64,
}

#[derive(Debug, Default)]
pub struct Refusals {
    by_destination: HashMap<(String, &'static str), Refused>,
    by_rule: BTreeMap<(&'static str, String), u64>,
    total: u64,
}

impl Refusals {
    /// Counts a refusal, and returns it when its destination is new.
    pub fn add(&mut self, refusal: Refusal) -> Option<&Refused> {
        self.total += 1;
        let by = match refusal.status {
            Status::DeniedByHost => "host",
            _ => "image",
        };
        *self.by_rule.entry((by, refusal.place)).or_default() += 1;
        let key = (refusal.destination.clone(), by);
        if let Some(known) = self.by_destination.get_mut(&key) {
            known.count += 1;
            return None;
        }
        if self.by_destination.len() >= MAX_DESTINATIONS {
            return None;
        }
        let explanation = *refusal.explanation;
        let refused = Refused {
            destination: refusal.destination,
            by,
            why: explanation.why,
            rule: explanation.rule,
            would_allow: explanation.would_allow,
            count: 1,
        };
        Some(self.by_destination.entry(key).or_insert(refused))
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// All of them by what decided.
    #[must_use]
    pub fn by_rule(&self) -> Vec<RefusedByRule<'_>> {
        let rows = self.by_rule.iter();
        rows.map(|((by, rule), &count)| RefusedByRule { by, rule, count })
            .collect()
    }

    /// Those that are known one by one, most frequent first.
    #[must_use]
    pub fn list(&self) -> Vec<&Refused> {
        let mut list: Vec<&Refused> = self.by_destination.values().collect();
        list.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then_with(|| a.destination.cmp(&b.destination))
        });
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_egress_policy::decision::Explanation;

    fn refusal(destination: &str) -> Refusal {
        Refusal {
            destination: destination.to_owned(),
            status: Status::DeniedByImage,
            place: "none".to_owned(),
            explanation: Box::new(Explanation {
                is_allowed: false,
                why: "no rule allows it".to_owned(),
                rule: None,
                would_allow: None,
            }),
        }
    }

    #[test]
    fn a_destination_is_reported_once_and_counted() {
        let mut refusals = Refusals::default();
        assert!(refusals.add(refusal("a:1/tcp")).is_some());
        assert!(refusals.add(refusal("a:1/tcp")).is_none());
        assert!(refusals.add(refusal("b:1/tcp")).is_some());
        assert_eq!(refusals.list()[0].count, 2);
    }

    #[test]
    fn a_crowd_of_destinations_is_counted_together() {
        let mut refusals = Refusals::default();
        let reported = (0..1000)
            .filter(|number| refusals.add(refusal(&number.to_string())).is_some())
            .count();
        assert_eq!((reported, refusals.total()), (MAX_DESTINATIONS, 1000));
        assert_eq!(refusals.list().len(), MAX_DESTINATIONS);
        let by_rule = RefusedByRule {
            by: "image",
            rule: "none",
            count: 1000,
        };
        assert_eq!(refusals.by_rule(), [by_rule]);
    }
}
