//! Whether to look for more work for a moment instead of sleeping. Waking a sleeper, and often its
//! CPU, costs more than a small packet. Waiting is worth it only between events that follow each
//! other closely, so the card waits only after it was woken soon after it had fallen asleep; and only
//! on a CPU that nobody else needs, as Linux has a thread that yields to another wait for all of the
//! other's time.

use std::time::{Duration, Instant};

/// The longest wait, and the longest sleep that it would have saved.
const WAIT: Duration = Duration::from_micros(100);
/// A sleep this long says that the exchange is over.
const PAUSE: Duration = Duration::from_micros(400);
/// A look that takes this long was no look: others had the CPU.
const CROWDED: Duration = Duration::from_micros(500);
/// How long the card then does not wait.
const RETREAT: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub struct Patience {
    slept_at: Option<Instant>,
    idle_since: Option<Instant>,
    is_hopeful: bool,
    retreats_until: Option<Instant>,
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
        let is_retreating = self.retreats_until.is_some_and(|until| now < until);
        self.is_hopeful && !is_retreating && now.duration_since(since) < WAIT
    }

    /// The CPU was offered to others at `offered`, and has come back.
    pub fn on_return(&mut self, offered: Instant, now: Instant) {
        if now.duration_since(offered) >= CROWDED {
            self.retreats_until = Some(now + RETREAT);
        }
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

    #[test]
    fn does_not_wait_for_a_while_once_others_have_taken_the_cpu() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.on_sleep(start);
        patience.on_wake(start);
        assert!(patience.may_wait(start));
        patience.on_return(start, start + CROWDED / 2);
        patience.on_work();
        assert!(patience.may_wait(start + CROWDED));
        let back = start + 2 * CROWDED;
        patience.on_return(start + CROWDED, back);
        patience.on_work();
        assert!(!patience.may_wait(back));
        patience.on_work();
        assert!(patience.may_wait(back + RETREAT));
    }
}
