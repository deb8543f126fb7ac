//! Credit-based flow control of one stream, both directions (virtio 1.2 section 5.10.6.3). All
//! counters are free-running and wrap at 2^32, as on the wire.

/// Both ends' windows and byte counters of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    /// Bytes the card promised to hold for the host (`buf_alloc`).
    window: u32,
    received: u32,
    forwarded: u32,
    /// The `fwd_cnt` the guest was told last.
    announced: u32,
    guest_window: u32,
    guest_forwarded: u32,
    sent: u32,
}

impl Credit {
    /// A stream on which the guest may have `window` bytes in flight; the guest's own window is
    /// zero until it has told one.
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self {
            window,
            received: 0,
            forwarded: 0,
            announced: 0,
            guest_window: 0,
            guest_forwarded: 0,
            sent: 0,
        }
    }

    #[must_use]
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Takes in `bytes` from the guest; false when they exceed the window it was given.
    #[must_use]
    pub fn receive(&mut self, bytes: usize) -> bool {
        let room = (self.window - self.received.wrapping_sub(self.forwarded)) as usize;
        let fits = bytes <= room;
        if fits {
            self.received = self.received.wrapping_add(bytes as u32);
        }
        fits
    }

    /// Counts `bytes` that have left the card for the host.
    pub fn forward(&mut self, bytes: usize) {
        self.forwarded = self.forwarded.wrapping_add(bytes as u32);
    }

    /// Whether the guest believes that less than half of its window is free while more is.
    #[must_use]
    pub fn is_update_due(&self) -> bool {
        let unannounced = self.forwarded.wrapping_sub(self.announced);
        let believed_in_flight = self.received.wrapping_sub(self.announced);
        unannounced > 0 && believed_in_flight >= self.window / 2
    }

    /// The `buf_alloc` and `fwd_cnt` of the next header to the guest.
    pub fn announce(&mut self) -> (u32, u32) {
        self.announced = self.forwarded;
        (self.window, self.forwarded)
    }

    /// Learns the guest's `buf_alloc` and `fwd_cnt`.
    pub fn learn(&mut self, buf_alloc: u32, fwd_cnt: u32) {
        self.guest_window = buf_alloc;
        self.guest_forwarded = fwd_cnt;
    }

    /// Bytes that may be sent to the guest now; zero for a guest that claims to have forwarded
    /// more than it was sent.
    #[must_use]
    pub fn sendable(&self) -> usize {
        let in_flight = self.sent.wrapping_sub(self.guest_forwarded);
        self.guest_window.saturating_sub(in_flight) as usize
    }

    /// Counts `bytes` sent to the guest.
    pub fn send(&mut self, bytes: usize) {
        self.sent = self.sent.wrapping_add(bytes as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_guest_cannot_exceed_its_window() {
        let mut credit = Credit::new(100);
        assert!(credit.receive(100));
        assert!(!credit.receive(1));
        credit.forward(40);
        assert!(credit.receive(40));
        assert!(!credit.receive(1));
    }

    #[test]
    fn an_update_is_due_once_half_the_window_is_used_and_some_is_free_again() {
        let mut credit = Credit::new(100);
        assert!(credit.receive(60));
        assert!(!credit.is_update_due());
        credit.forward(60);
        assert!(credit.is_update_due());
        assert_eq!(credit.announce(), (100, 60));
        assert!(!credit.is_update_due());
    }

    #[test]
    fn a_guest_that_claims_bytes_it_was_never_sent_gets_none() {
        let mut credit = Credit::new(100);
        credit.learn(1000, 5);
        assert_eq!(credit.sendable(), 0);
    }

    proptest! {
        #[test]
        fn what_is_held_never_exceeds_the_window(steps in prop::collection::vec((any::<bool>(), 0_usize..5000), 0..500)) {
            let mut credit = Credit::new(4096);
            let mut held = 0_usize;
            for (is_receive, bytes) in steps {
                if is_receive {
                    if credit.receive(bytes) {
                        held += bytes;
                    }
                } else {
                    let forwarded = bytes.min(held);
                    credit.forward(forwarded);
                    held -= forwarded;
                }
                prop_assert!(held <= 4096);
            }
        }
    }
}
