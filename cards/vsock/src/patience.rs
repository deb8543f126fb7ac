//! Whether to look for more work for a moment instead of sleeping. Waking a sleeper, and often its
//! CPU, costs more than a small packet. Waiting is worth it only between events that follow each
//! other closely, so the card waits only after it was woken soon after it had fallen asleep.

use std::time::{Duration, Instant};

/// The longest wait, and the longest sleep that it would have saved.
const WAIT: Duration = Duration::from_micros(60);
/// A sleep this long says that the exchange is over.
const PAUSE: Duration = Duration::from_micros(240);

#[derive(Debug, Default)]
pub struct Patience {
    slept_at: Option<Instant>,
    idle_since: Option<Instant>,
    is_hopeful: bool,
}

impl Patience {
    pub fn on_wake(&mut self, now: Instant) {
        match self.slept_at.map(|at| now.duration_since(at)) {
            Some(sleep) if sleep < WAIT => self.is_hopeful = true,
            Some(sleep) if sleep < PAUSE => {}
            _ => self.is_hopeful = false,
        }
    }

    pub fn on_work(&mut self) {
        self.idle_since = None;
    }

    /// Nothing is left to do: whether to look again at once.
    pub fn may_wait(&mut self, now: Instant) -> bool {
        let since = *self.idle_since.get_or_insert(now);
        self.is_hopeful && now.duration_since(since) < WAIT
    }

    pub fn on_sleep(&mut self, now: Instant) {
        self.idle_since = None;
        self.slept_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_only_after_short_sleeps_and_never_longer_than_they_last() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.on_wake(start);
        assert!(!patience.may_wait(start));
        patience.on_sleep(start);
        patience.on_wake(start + WAIT / 2);
        assert!(patience.may_wait(start + WAIT));
        assert!(!patience.may_wait(start + 2 * WAIT));
        patience.on_sleep(start + 2 * WAIT);
        patience.on_wake(start + 2 * WAIT + PAUSE);
        assert!(!patience.may_wait(start + 2 * WAIT + PAUSE));
    }
}
