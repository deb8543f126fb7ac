//! When each flow is to have a turn even if nothing happens. Timers that one packet sets and the next one stops, such as
//! that of acknowledgements, are the rule, so a flow keeps its place until that comes up, and only then moves to where it
//! belongs by now: neither setting nor stopping costs more than to remember it.

use std::collections::BTreeSet;
use std::time::Instant;

#[derive(Default)]
pub struct Wakes {
    /// Of each flow, by its key.
    times: Vec<Times>,
    /// Each flow once at most.
    places: BTreeSet<(Instant, usize)>,
}

#[derive(Clone, Copy, Default)]
struct Times {
    due: Option<Instant>,
    /// Never later than that.
    place: Option<Instant>,
}

impl Wakes {
    /// Replaces what was set before; `None` stops it.
    pub fn set(&mut self, key: usize, due: Option<Instant>) {
        if self.times.len() <= key {
            self.times.resize(key + 1, Times::default());
        }
        let times = &mut self.times[key];
        times.due = due;
        if let Some(due) = due
            && times.place.is_none_or(|place| due < place)
        {
            self.put(key, Some(due));
        }
    }

    /// A flow whose time has come, which then has none.
    pub fn take(&mut self, now: Instant) -> Option<usize> {
        let (_, key) = self.first().filter(|(due, _)| *due <= now)?;
        self.set(key, None);
        self.put(key, None);
        Some(key)
    }

    /// When the next flow has a turn.
    pub fn next(&mut self) -> Option<Instant> {
        self.first().map(|(due, _)| due)
    }

    /// Forgets a flow.
    pub fn remove(&mut self, key: usize) {
        if key < self.times.len() {
            self.set(key, None);
            self.put(key, None);
        }
    }

    fn first(&mut self) -> Option<(Instant, usize)> {
        loop {
            let (place, key) = *self.places.first()?;
            let due = self.times[key].due;
            if due == Some(place) {
                return Some((place, key));
            }
            self.put(key, due);
        }
    }

    fn put(&mut self, key: usize, place: Option<Instant>) {
        if let Some(old) = std::mem::replace(&mut self.times[key].place, place) {
            self.places.remove(&(old, key));
        }
        if let Some(place) = place {
            self.places.insert((place, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn each_flow_has_its_turn_at_the_last_time_set(
            steps in prop::collection::vec((0..4usize, prop::option::of(0..50u64), 0..5u64), 0..100)
        ) {
            let start = Instant::now();
            let (mut wakes, mut model, mut now) = (Wakes::default(), [None; 4], start);
            for (key, due, passed) in steps {
                let due = due.map(|ms| now + Duration::from_millis(ms));
                wakes.set(key, due);
                model[key] = due;
                prop_assert_eq!(wakes.next(), model.iter().flatten().min().copied());
                now += Duration::from_millis(passed);
                while let Some(key) = wakes.take(now) {
                    prop_assert!(model[key].take().is_some_and(|due| due <= now));
                }
                prop_assert!(model.iter().flatten().all(|due| *due > now));
                prop_assert!(wakes.places.len() <= model.len());
            }
        }
    }

    #[test]
    fn a_flow_that_is_gone_has_no_turn() {
        let (mut wakes, now) = (Wakes::default(), Instant::now());
        wakes.set(3, Some(now));
        wakes.remove(3);
        wakes.remove(7);
        assert_eq!((wakes.take(now), wakes.next()), (None, None));
    }
}
