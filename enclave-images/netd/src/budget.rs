//! What the buffers of all flows may take up together. A flow's share is promised when it begins, so the
//! promises are a hard bound; pages that a buffer never reaches are never touched.

use crate::addresses::SEGMENT_BYTES;
use crate::spares::Spares;

/// Of a flow that has room: both directions of a fast transfer stay busy. Whole segments, as a short one at the end of
/// every round costs as much as a long one.
pub const LARGE_BYTES: usize = 4 * SEGMENT_BYTES;
/// Of every further flow.
const SMALL_BYTES: usize = 16 * 1024;

/// For a datagram or an answer of any length, each way: a frame and its head are two bytes longer.
const WIDE_BYTES: usize = 4 * SMALL_BYTES;

/// Half of the memory is for large buffers, half for small ones.
pub struct Budget {
    large: usize,
    small: usize,
    pub spares: Spares,
}

/// A promise: bytes of each of a flow's two buffers.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Share {
    pub bytes: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self {
            large: bytes / 2 / (2 * LARGE_BYTES),
            small: bytes / 2 / (2 * SMALL_BYTES),
            spares: Spares::default(),
        }
    }

    /// `None` when all is promised.
    pub fn promise(&mut self) -> Option<Share> {
        let (left, bytes) = match self.large {
            0 => (&mut self.small, SMALL_BYTES),
            _ => (&mut self.large, LARGE_BYTES),
        };
        *left = left.checked_sub(1)?;
        Some(Share { bytes })
    }

    /// For what may have to hold the longest message.
    pub fn promise_wide(&mut self) -> Option<Share> {
        self.small = self.small.checked_sub(WIDE_BYTES / SMALL_BYTES)?;
        Some(Share { bytes: WIDE_BYTES })
    }

    /// For a flow that needs little.
    pub fn promise_small(&mut self) -> Option<Share> {
        self.small = self.small.checked_sub(1)?;
        Some(Share { bytes: SMALL_BYTES })
    }

    pub fn release(&mut self, share: Share) {
        match share.bytes {
            LARGE_BYTES => self.large += 1,
            bytes => self.small += bytes / SMALL_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_no_more_than_there_is_and_takes_back_what_was_promised() {
        let bytes = 64 << 20;
        let mut budget = Budget::new(bytes);
        let shares: Vec<_> = std::iter::from_fn(|| budget.promise()).collect();
        let sum: usize = shares.iter().map(|share| 2 * share.bytes).sum();
        assert!(sum <= bytes && shares.len() > 1000, "{}", shares.len());
        assert_eq!(shares[0].bytes, LARGE_BYTES);
        let count = shares.len();
        shares.into_iter().for_each(|share| budget.release(share));
        assert_eq!(std::iter::from_fn(|| budget.promise()).count(), count);
        let mut budget = Budget::new(bytes);
        let shares: Vec<_> = std::iter::from_fn(|| budget.promise_wide()).collect();
        let sum: usize = shares.iter().map(|share| 2 * share.bytes).sum();
        assert_eq!(sum, bytes / 2);
        assert_eq!(budget.promise_small(), None);
        shares.into_iter().for_each(|share| budget.release(share));
        assert!(budget.promise_wide().is_some());
    }
}
