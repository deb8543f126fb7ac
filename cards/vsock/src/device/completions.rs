//! When the driver hears that its packets were taken. All it does then is free their memory, and an
//! interrupt costs it more than a packet, so it hears once about many: after a share of the queue,
//! much memory, or a short while. Mostly it has found out by then, as virtio-mmio has one
//! interrupt for both queues.

use std::time::Duration;

/// The driver hears after this time at the latest.
pub(super) const MAX_DELAY: Duration = Duration::from_millis(2);
/// A driver hears while three quarters of its queue are still free.
const QUEUE_SHARE: u16 = 4;
/// A driver that sends this much reuses the memory while it is still in the CPU's cache.
const BYTES: usize = 64 * 1024;

/// Packets taken since the driver was last told, or found to know.
#[derive(Debug, Default)]
pub(super) struct Completions {
    packets: u16,
    bytes: usize,
    is_overdue: bool,
}

impl Completions {
    pub(super) fn add(&mut self, bytes: usize) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether the clock is needed, every [`MAX_DELAY`].
    #[must_use]
    pub(super) fn are_waiting(&self) -> bool {
        self.packets > 0 && !self.is_overdue
    }

    /// The clock has ticked.
    pub(super) fn on_timer(&mut self) {
        self.is_overdue = self.packets > 0;
    }

    /// Whether the driver must hear now, unless it knows; if so, the count begins anew.
    pub(super) fn take_due(&mut self, queue_size: u16) -> bool {
        let is_due = self.is_overdue
            || self.packets >= (queue_size / QUEUE_SHARE).max(1)
            || self.bytes >= BYTES;
        if is_due {
            *self = Self::default();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE_SIZE: u16 = 128;

    #[test]
    fn a_single_packet_is_told_at_the_next_tick_and_only_once() {
        let mut completions = Completions::default();
        completions.add(44);
        assert!(!completions.take_due(QUEUE_SIZE));
        assert!(completions.are_waiting());
        completions.on_timer();
        assert!(completions.take_due(QUEUE_SIZE));
        assert!(!completions.are_waiting());
        completions.on_timer();
        assert!(!completions.take_due(QUEUE_SIZE));
    }

    #[test]
    fn a_queue_that_is_not_served_keeps_no_clock_running() {
        let mut completions = Completions::default();
        completions.add(44);
        completions.on_timer();
        assert!(!completions.are_waiting());
    }

    #[test]
    fn many_packets_are_told_before_the_driver_runs_out_of_descriptors() {
        let mut completions = Completions::default();
        for _ in 0..QUEUE_SIZE / QUEUE_SHARE {
            assert!(!completions.take_due(QUEUE_SIZE));
            completions.add(44);
        }
        assert!(completions.take_due(QUEUE_SIZE));
    }

    #[test]
    fn much_memory_is_told_at_once_however_few_packets_it_came_in() {
        let mut completions = Completions::default();
        completions.add(BYTES);
        assert!(completions.take_due(QUEUE_SIZE));
    }

    #[test]
    fn a_queue_of_one_packet_is_told_at_once() {
        let mut completions = Completions::default();
        assert!(!completions.take_due(1));
        completions.add(44);
        assert!(completions.take_due(1));
    }
}
