//! What a guest promises to take, as the kernel may hear of it. The kernel believes its guests: it holds as much for one
//! that does not read as that one asks for, and its sum of what is left wraps around where a window
//! shrinks or more was read than sent (`virtio_transport_get_credit`, Linux 6.12).

use crate::packet::{Header, Operation};

/// The kernel holds no more than this for one stream: the buffer that Linux has by default.
pub const MAX_WINDOW_BYTES: u32 = 256 * 1024;
/// `VIRTIO_VSOCK_SHUTDOWN_*`; the flags of other operations belong to other kinds of sockets.
const SHUTDOWN_FLAGS: u32 = 3;

/// Of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credit {
    window: u32,
    consumed: u32,
}

impl Credit {
    /// The header as the kernel gets it. `delivered`: the bytes that the guest has been given.
    ///
    /// The window never shrinks, and a count of bytes read that goes back, as it may between threads of an
    /// honest guest, or ahead of what was delivered, counts as the last one.
    pub fn bound(&mut self, header: &Header, delivered: u64) -> Header {
        self.window = self.window.max(header.buf_alloc.min(MAX_WINDOW_BYTES));
        let unread = (delivered as u32).wrapping_sub(self.consumed); // the counts wrap around
        if header.fwd_cnt.wrapping_sub(self.consumed) <= unread {
            self.consumed = header.fwd_cnt;
        }
        let is_shutdown = header.operation == Operation::Shutdown as u16;
        Header {
            flags: if is_shutdown {
                header.flags & SHUTDOWN_FLAGS
            } else {
                0
            },
            buf_alloc: self.window,
            fwd_cnt: self.consumed,
            ..*header
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn promise(buf_alloc: u32, fwd_cnt: u32) -> Header {
        Header {
            operation: Operation::CreditUpdate as u16,
            buf_alloc,
            fwd_cnt,
            ..Header::default()
        }
    }

    #[test]
    fn an_honest_guest_is_passed_on_across_the_wrap() {
        let mut credit = Credit {
            window: 1000,
            consumed: u32::MAX - 1,
        };
        let delivered = u64::from(u32::MAX) + 9;
        let passed = credit.bound(&promise(2000, 7), delivered);
        assert_eq!((passed.buf_alloc, passed.fwd_cnt), (2000, 7));
        let late = credit.bound(&promise(2000, u32::MAX), delivered);
        assert_eq!(late.fwd_cnt, 7);
    }

    proptest! {
        #[test]
        fn the_kernel_never_counts_more_than_the_window(
            steps in proptest::collection::vec((any::<u32>(), any::<u32>(), 0_u32..100_000), 1..50)
        ) {
            let mut credit = Credit::default();
            let (mut delivered, mut last) = (0_u64, 0);
            for (buf_alloc, fwd_cnt, more) in steps {
                let passed = credit.bound(&promise(buf_alloc, fwd_cnt), delivered);
                prop_assert!(passed.buf_alloc <= MAX_WINDOW_BYTES && passed.buf_alloc >= last);
                last = passed.buf_alloc;
                let unread = (delivered as u32).wrapping_sub(passed.fwd_cnt);
                prop_assert!(u64::from(unread) <= delivered);
                let room = passed.buf_alloc.saturating_sub(unread); // an honest kernel sends no more
                delivered += u64::from(more.min(room));
            }
        }
    }
}
