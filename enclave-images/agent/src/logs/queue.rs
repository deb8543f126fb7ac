//! What waits to be sent, bounded by what it costs in total rather than by how many there are.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};

/// The writing end, of which there can be several.
pub struct Sender<T> {
    to: mpsc::Sender<(T, usize)>,
    total: Arc<AtomicUsize>,
    max: usize,
}

/// The reading end.
pub struct Waiting<T> {
    from: Receiver<(T, usize)>,
    total: Arc<AtomicUsize>,
}

/// A queue of things that cost `max` together at most.
pub fn bounded<T>(max: usize) -> (Sender<T>, Waiting<T>) {
    let (to, from) = mpsc::channel();
    let total = Arc::new(AtomicUsize::new(0));
    let sender = Sender {
        to,
        total: Arc::clone(&total),
        max,
    };
    (sender, Waiting { from, total })
}

// Derived, it would ask for a `T` that is `Clone`.
impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let (to, total) = (self.to.clone(), Arc::clone(&self.total));
        Self { to, total, ..*self }
    }
}

impl<T> Sender<T> {
    /// False, and without effect, if there is no room, or nothing reads any more.
    pub fn send(&self, item: T, cost: usize) -> bool {
        let taken = self
            .total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |total| {
                total.checked_add(cost).filter(|&sum| sum <= self.max)
            });
        taken.is_ok() && self.to.send((item, cost)).is_ok()
    }
}

impl<T> Waiting<T> {
    /// The next one, or `None` once every sender is gone.
    pub fn take(&self) -> Option<T> {
        self.from.recv().ok().map(|taken| self.free(taken))
    }

    /// The next one that is there already.
    pub fn take_now(&self) -> Option<T> {
        self.from.try_recv().ok().map(|taken| self.free(taken))
    }

    fn free(&self, (item, cost): (T, usize)) -> T {
        self.total.fetch_sub(cost, Ordering::Relaxed);
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_as_much_as_there_is_room_for_and_again_once_there_is() {
        let (sender, waiting) = bounded(10);
        assert!(sender.send('a', 6));
        assert!(!sender.send('b', 5));
        assert!(sender.clone().send('c', 4));
        assert!(!sender.send('d', usize::MAX));
        assert_eq!(waiting.take(), Some('a'));
        assert!(sender.send('e', 6));
        assert_eq!(waiting.take_now(), Some('c'));
        drop(sender);
        assert_eq!([waiting.take(), waiting.take()], [Some('e'), None]);
    }

    #[test]
    fn refuses_what_nothing_reads() {
        let (sender, waiting) = bounded(10);
        drop(waiting);
        assert!(!sender.send('a', 1));
    }
}
