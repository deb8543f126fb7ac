//! What one enclave may use up: connections, new connections per second, bytes held for slow
//! readers. Buffer space is promised when a connection opens, as the guest's credit window, so the
//! sum of the promises is a hard bound on what the card can be made to hold.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// No stream is promised less; a guest packs its packets to what it was promised.
const MIN_WINDOW_BYTES: u64 = 8 * 1024;
const MAX_WINDOW_BYTES: u64 = 256 * 1024;
/// A new stream gets at most this share of the space that is left.
const WINDOW_SHARE: u64 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Connections open at once, both directions together.
    pub connections: usize,
    /// New connections per second, each direction; a second's worth may come in one burst.
    pub connections_per_second: u32,
    /// Bytes that the card may hold for slow readers on the host.
    pub buffer_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            connections_per_second: 4096,
            buffer_bytes: 128 * 1024 * 1024,
        }
    }
}

/// The buffer space promised to open connections.
#[derive(Debug, Default)]
pub struct BufferBudget {
    promised: u64,
}

impl BufferBudget {
    /// A window for a new stream: large while space is plenty, smaller as it runs out, nothing
    /// once there is none.
    pub fn promise(&mut self, limits: &Limits) -> Option<u32> {
        let left = limits.buffer_bytes.saturating_sub(self.promised);
        let window = (left / WINDOW_SHARE).clamp(MIN_WINDOW_BYTES, MAX_WINDOW_BYTES);
        if window > left {
            return None;
        }
        self.promised += window;
        Some(window as u32)
    }

    pub fn release(&mut self, window: u32) {
        self.promised -= u64::from(window);
    }
}

/// A token bucket of one second's depth.
#[derive(Debug)]
pub struct RateLimiter {
    tokens: f64,
    refilled: Instant,
}

impl RateLimiter {
    #[must_use]
    pub fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            tokens: f64::from(limits.connections_per_second),
            refilled: now,
        }
    }

    pub fn take(&mut self, limits: &Limits, now: Instant) -> bool {
        let per_second = f64::from(limits.connections_per_second);
        let elapsed = now.duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * per_second).min(per_second);
        self.refilled = now;
        let is_allowed = self.tokens >= 1.0;
        if is_allowed {
            self.tokens -= 1.0;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn promises_never_exceed_the_budget_and_reach_every_connection() {
        let limits = Limits::default();
        let mut budget = BufferBudget::default();
        let windows: Vec<_> = (0..limits.connections)
            .map(|_| budget.promise(&limits).expect("space for every connection"))
            .collect();
        let sum: u64 = windows.iter().map(|window| u64::from(*window)).sum();
        assert!(sum <= limits.buffer_bytes);
        assert_eq!(u64::from(windows[0]), MAX_WINDOW_BYTES);
    }

    #[test]
    fn an_exhausted_budget_promises_nothing_until_space_is_released() {
        let limits = Limits {
            buffer_bytes: MIN_WINDOW_BYTES,
            ..Limits::default()
        };
        let mut budget = BufferBudget::default();
        let window = budget.promise(&limits).unwrap();
        assert_eq!(budget.promise(&limits), None);
        budget.release(window);
        assert_eq!(budget.promise(&limits), Some(window));
    }

    #[test]
    fn a_burst_is_cut_at_one_second_of_connections() {
        let limits = Limits {
            connections_per_second: 3,
            ..Limits::default()
        };
        let start = Instant::now();
        let mut rate = RateLimiter::new(&limits, start);
        let granted = (0..10).filter(|_| rate.take(&limits, start)).count();
        assert_eq!(granted, 3);
        assert!(rate.take(&limits, start + Duration::from_millis(400)));
    }
}
