//! How much may leave: a bucket that fills at a steady pace. The parent has one of twice the size
//! (src/keeper/guest/log-channel.ts).
#![forbid(unsafe_code)]

use std::time::Instant;

const BYTES_PER_SECOND: f64 = 128.0 * 1024.0;
pub const BURST_BYTES: usize = 256 * 1024;
/// What a line costs beside its bytes.
const LINE_BYTES: usize = 64;

/// What a line of so many bytes costs.
pub fn cost(bytes: usize) -> usize {
    bytes + LINE_BYTES
}

pub struct Limit {
    left: f64,
    at: Instant,
}

impl Limit {
    pub fn new(now: Instant) -> Self {
        Self {
            left: BURST_BYTES as f64,
            at: now,
        }
    }

    /// Whether a line of so many bytes may leave now.
    pub fn allows(&mut self, bytes: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + elapsed * BYTES_PER_SECOND).min(BURST_BYTES as f64);
        self.at = now;
        let cost = cost(bytes) as f64;
        let is_within = cost <= self.left;
        if is_within {
            self.left -= cost;
        }
        is_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_followed_by_the_steady_pace() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let mut taken = |now| (0..).take_while(|_| limit.allows(960, now)).count();
        assert_eq!(taken(start), 256);
        assert_eq!(taken(start), 0);
        assert_eq!(taken(start + Duration::from_secs(1)), 128);
        assert_eq!(taken(start + Duration::from_secs(3600)), 256);
    }
}
