//! How many requests per second: a token bucket, with the time as an argument.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// Holds at most `burst` tokens, and gets `per_second` new ones each second.
#[derive(Debug)]
pub struct Quota {
    per_second: f64,
    burst: f64,
    tokens: f64,
    last: Instant,
}

impl Quota {
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            per_second: per_second.into(),
            burst: burst.into(),
            tokens: burst.into(),
            last: now,
        }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed: Duration = now.saturating_duration_since(self.last);
        self.last = now;
        self.tokens = (self.tokens + passed.as_secs_f64() * self.per_second).min(self.burst);
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        let start = Instant::now();
        let mut quota = Quota::new(10, 3, start);
        let taken = |quota: &mut Quota, ms| quota.take(start + Duration::from_millis(ms));
        assert_eq!(
            [0, 0, 0, 0].map(|ms| taken(&mut quota, ms)),
            [true, true, true, false]
        );
        assert_eq!(
            [99, 101, 102].map(|ms| taken(&mut quota, ms)),
            [false, true, false]
        );
    }

    #[test]
    fn a_long_pause_gives_no_more_than_a_burst() {
        let start = Instant::now();
        let mut quota = Quota::new(1000, 2, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!([0; 3].map(|_| quota.take(later)), [true, true, false]);
        // A clock that is set back gives nothing.
        assert!(!quota.take(start));
    }
}
