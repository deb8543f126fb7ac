//! Which name gave which address: a rule by name holds for the addresses that the name's answers had. Kept longer
//! than the TTL says, as programs do that too; bounded. When it is full, the entries that end first go: those of a name that
//! has very many, for whoever answers for one name is to take no other's place, or else of all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::normalise;
use crate::decision::{Decision, Flow};
use crate::dns::Answer;
use crate::name::Name;
use crate::policy::{Policy, Protocol};
use crate::{HOST_ADDRESS, HOST_NAME};

/// Pairs of a name that was looked up and an address.
pub const MAX_PAIRS: usize = 8192;
const MAX_NAMES_OF_ADDRESS: usize = 32;
/// Addresses of one name: it gives way to others then.
const VERY_MANY: usize = MAX_PAIRS / 32;
/// A program may connect some time after it asked, also to a name with a TTL of 0.
pub const MIN_RETENTION: Duration = Duration::from_secs(600);
pub const MAX_RETENTION: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug)]
struct Entry {
    names: Arc<[Name]>,
    expires: Instant,
}

/// The host's own name is in it from the beginning.
#[derive(Debug)]
pub struct LearnedNames {
    by_address: HashMap<IpAddr, Vec<Entry>>,
    pairs: usize,
    host: Arc<[Name]>,
}

impl Default for LearnedNames {
    fn default() -> Self {
        Self {
            by_address: HashMap::new(),
            pairs: 0,
            host: Name::new(HOST_NAME).into_iter().collect(),
        }
    }
}

impl LearnedNames {
    /// Takes the addresses of an answer.
    pub fn learn(&mut self, answer: &Answer, now: Instant) {
        let names: Arc<[Name]> = answer.names.as_slice().into();
        for (address, ttl) in &answer.addresses {
            let kept = Duration::from_secs((*ttl).into()).clamp(MIN_RETENTION, MAX_RETENTION);
            let entry = Entry {
                names: Arc::clone(&names),
                expires: now + kept,
            };
            self.add(normalise(*address), entry, now);
        }
    }

    fn add(&mut self, address: IpAddr, entry: Entry, now: Instant) {
        if self.pairs >= MAX_PAIRS {
            self.make_room(now);
        }
        let entries = self.by_address.entry(address).or_default();
        let is_same = |it: &&mut Entry| it.names.first() == entry.names.first();
        if let Some(known) = entries.iter_mut().find(is_same) {
            // Its newest aliases count: a rule may deny them.
            known.names = entry.names;
            known.expires = known.expires.max(entry.expires);
        } else if entries.len() < MAX_NAMES_OF_ADDRESS {
            entries.push(entry);
            self.pairs += 1;
        } else if let Some(first) = entries.iter_mut().min_by_key(|it| it.expires) {
            *first = entry;
        }
    }

    /// Forgets what has expired; when that is not enough, half of a name that has very many, or an eighth of all.
    fn make_room(&mut self, now: Instant) {
        self.keep(|entry| entry.expires > now);
        if self.pairs < MAX_PAIRS {
            return;
        }
        let greedy = self.greediest();
        let goes = |entry: &Entry| greedy.is_none() || entry.names.first() == greedy.as_ref();
        let going = self.entries().filter(|entry| goes(entry));
        let mut ends: Vec<Instant> = going.map(|entry| entry.expires).collect();
        let count = ends.len() / if greedy.is_some() { 2 } else { 8 };
        let (_, limit, _) = ends.select_nth_unstable(count);
        let limit = *limit;
        self.keep(|entry| !goes(entry) || entry.expires > limit);
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.by_address.values().flatten()
    }

    /// The name with most addresses, if it has very many.
    fn greediest(&self) -> Option<Name> {
        let mut counts: HashMap<&Name, usize> = HashMap::new();
        for name in self.entries().filter_map(|entry| entry.names.first()) {
            *counts.entry(name).or_default() += 1;
        }
        let (name, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (count >= VERY_MANY).then(|| name.clone())
    }

    fn keep(&mut self, predicate: impl Fn(&Entry) -> bool) {
        for entries in self.by_address.values_mut() {
            entries.retain(&predicate);
        }
        self.by_address.retain(|_, entries| !entries.is_empty());
        self.pairs = self.by_address.values().map(Vec::len).sum();
    }

    /// For each name whose answer had the address: the name and its aliases.
    pub fn names_of(&self, address: IpAddr, now: Instant) -> impl Iterator<Item = &[Name]> {
        let address = normalise(address);
        let host = (address == IpAddr::V4(HOST_ADDRESS)).then_some(&*self.host);
        let entries = self.by_address.get(&address).into_iter().flatten();
        let learned = entries
            .filter(move |entry| entry.expires > now)
            .map(|entry| &*entry.names);
        host.into_iter().chain(learned)
    }

    /// The name and its aliases, if its answer had this address: what a claim is checked against.
    #[must_use]
    pub fn find(&self, address: IpAddr, name: &Name, now: Instant) -> Option<&[Name]> {
        self.names_of(address, now)
            .find(|names| names.first() == Some(name))
    }

    /// Decides a flow to an address by the name that allows it, if any does, and returns that name with its aliases.
    #[must_use]
    pub fn decide(
        &self,
        policy: &Policy,
        (protocol, address, port): (Protocol, IpAddr, u16),
        now: Instant,
    ) -> (Decision, &[Name]) {
        let decide = |names| {
            let flow = Flow {
                protocol,
                address: Some(address),
                port,
                names,
            };
            (policy.decide(&flow), names)
        };
        let mut first = None;
        for names in self.names_of(address, now) {
            let decided = decide(names);
            if decided.0.is_allowed() {
                return decided;
            }
            first.get_or_insert(decided);
        }
        let unnamed = decide(&[]);
        match first {
            Some(named) if !unnamed.0.is_allowed() => named,
            _ => unnamed,
        }
    }

    /// Pairs of a name and an address.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, address: IpAddr, ttl: u32) -> Answer {
        Answer {
            names: vec![Name::new(name).unwrap()],
            addresses: vec![(address, ttl)],
            is_truncated: false,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_a_name_s_for_as_long_as_the_answer_holds_and_a_while() {
        let start = Instant::now();
        let mut learned = LearnedNames::default();
        learned.learn(&answer("a.b", ip("8.8.8.8"), 0), start);
        learned.learn(&answer("c.d", ip("8.8.8.8"), 3600), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let count = |seconds| learned.names_of(ip("::ffff:8.8.8.8"), at(seconds)).count();
        assert_eq!(
            (count(0), count(599), count(600), count(3600)),
            (2, 2, 1, 0)
        );
        let name = Name::new("a.b").unwrap();
        assert!(learned.find(ip("8.8.8.8"), &name, start).is_some());
        assert!(learned.find(ip("8.8.4.4"), &name, start).is_none());
    }

    #[test]
    fn the_host_s_address_has_the_host_s_name() {
        let learned = LearnedNames::default();
        let names: Vec<_> = learned
            .names_of(IpAddr::V4(HOST_ADDRESS), Instant::now())
            .collect();
        assert_eq!(names, [[Name::new(HOST_NAME).unwrap()]]);
    }

    #[test]
    fn the_name_that_allows_a_flow_is_found_among_many() {
        let now = Instant::now();
        let mut learned = LearnedNames::default();
        for name in ["x.y", "a.b"] {
            learned.learn(&answer(name, ip("8.8.8.8"), 60), now);
        }
        let policy = Policy::from_json(br#"{"allow":[{"host":"a.b"}]}"#).unwrap();
        let (decision, names) = learned.decide(&policy, (Protocol::Tcp, ip("8.8.8.8"), 1), now);
        assert!(decision.is_allowed());
        assert_eq!(names[0].as_str(), "a.b");
        let (decision, names) = learned.decide(&policy, (Protocol::Tcp, ip("8.8.4.4"), 1), now);
        assert!(!decision.is_allowed() && names.is_empty());
    }

    #[test]
    fn the_newest_aliases_of_a_name_count() {
        let now = Instant::now();
        let mut learned = LearnedNames::default();
        let address = ip("8.8.8.8");
        let later = now + Duration::from_secs(1);
        for (alias, ttl, at) in [("good.c", 3600, now), ("bad.c", 0, later)] {
            let mut answer = answer("a.b", address, ttl);
            answer.names.push(Name::new(alias).unwrap());
            learned.learn(&answer, at);
        }
        let name = Name::new("a.b").unwrap();
        let found = learned.find(address, &name, later).unwrap();
        assert_eq!(found[1].as_str(), "bad.c");
        assert_eq!(
            (learned.len(), learned.names_of(address, later).count()),
            (1, 1)
        );
        let policy = br#"{"allow":[{"host":"a.b"}],"deny":[{"host":"bad.c"}]}"#;
        let policy = Policy::from_json(policy).unwrap();
        let flow = (Protocol::Tcp, address, 1);
        assert!(!learned.decide(&policy, flow, later).0.is_allowed());
        assert!(
            learned
                .find(address, &name, now + Duration::from_secs(3599))
                .is_some()
        );
    }

    #[test]
    fn a_name_with_ever_new_addresses_takes_no_place_of_others() {
        let now = Instant::now();
        let mut learned = LearnedNames::default();
        let good = ip("8.8.8.8");
        learned.learn(&answer("good.example", good, 0), now);
        for number in 0..4 * MAX_PAIRS as u32 {
            let address = IpAddr::V4((0x0900_0000 + number).into());
            learned.learn(&answer("evil.example", address, 86_400), now);
            assert!(learned.len() <= MAX_PAIRS);
            assert_eq!(learned.names_of(address, now).count(), 1);
            assert_eq!(learned.names_of(good, now).count(), 1);
        }
    }

    #[test]
    fn many_names_with_many_addresses_take_no_place_of_one_with_few() {
        let now = Instant::now();
        let mut learned = LearnedNames::default();
        let good = ip("8.8.8.8");
        learned.learn(&answer("good.example", good, 0), now);
        for number in 0..2 * MAX_PAIRS as u32 {
            let address = IpAddr::V4((0x0900_0000 + number).into());
            let name = format!("n{}.evil.example", number % 20);
            learned.learn(&answer(&name, address, 86_400), now);
        }
        assert_eq!(learned.names_of(good, now).count(), 1);
    }

    #[test]
    fn a_full_table_forgets_what_ends_first() {
        let now = Instant::now();
        let mut learned = LearnedNames::default();
        for number in 0..3 * MAX_PAIRS as u32 {
            let address = IpAddr::V4((0x0800_0000 + number).into());
            learned.learn(&answer("a.b", address, 600 + number), now);
            assert!(learned.len() <= MAX_PAIRS);
        }
        let last = IpAddr::V4((0x0800_0000 + 3 * MAX_PAIRS as u32 - 1).into());
        assert_eq!(learned.names_of(last, now).count(), 1);
        for number in 0..1000 {
            let name = format!("n{number}.b");
            learned.learn(&answer(&name, last, 10_000), now);
        }
        assert_eq!(learned.names_of(last, now).count(), MAX_NAMES_OF_ADDRESS);
    }
}
