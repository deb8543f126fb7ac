//! How often something may happen: so many times in a second, with the time as an argument.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

pub struct Pace {
    per_second: u32,
    left: u32,
    until: Instant,
}

impl Pace {
    #[must_use]
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self {
            per_second,
            left: per_second,
            until: now + SECOND,
        }
    }

    /// Whether it may happen once more.
    pub fn take(&mut self, now: Instant) -> bool {
        if now >= self.until {
            *self = Self::new(self.per_second, now);
        }
        let is_left = self.left > 0;
        self.left -= u32::from(is_left);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_and_the_next_one_as_many_again() {
        let start = Instant::now();
        let mut pace = Pace::new(2, start);
        let mut taken = |ms| pace.take(start + Duration::from_millis(ms));
        assert_eq!(
            [0, 999, 999, 1000, 1500, 1999, 9000].map(&mut taken),
            [true, true, false, true, true, false, true]
        );
    }
}
