//! One direction of a TCP flow. Bytes go from socket to socket through a buffer that all flows share; only what the
//! receiver does not take at once is kept, and then nothing more is read.

use std::io;

use crate::outbox::Outbox;
use crate::socket::{Received, Socket};

/// Bytes that one flow moves before others get their turn.
const TURN_BYTES: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub struct Pipe {
    outbox: Outbox,
    is_ended: bool,
    is_finished: bool,
    /// The sender, a Unix socket, was told of no end: if it is closed as a whole, its end is a reset.
    pub is_one_way: bool,
}

/// How far a turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// One of the sockets is not ready.
    Waits,
    /// There is more to do at once.
    Over,
    /// The end has been passed on.
    Finished,
}

impl Pipe {
    /// One whose sender has sent this already.
    #[must_use]
    pub fn holding(early: &[u8]) -> Self {
        let mut pipe = Self::default();
        pipe.outbox.push(early);
        pipe
    }

    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Moves bytes while both sockets are ready; `moved` counts them.
    ///
    /// # Errors
    /// `Err(true)` when the receiver is gone, `Err(false)` when the sender is.
    pub fn pump(
        &mut self,
        from: &mut Socket,
        to: &mut Socket,
        buffer: &mut [u8],
        moved: &mut u64,
    ) -> Result<Turn, Broken> {
        let mut left = TURN_BYTES;
        while !self.is_finished {
            if !self.outbox.flush(to).map_err(Broken::Receiver)? {
                return Ok(Turn::Waits);
            }
            if self.is_ended {
                to.finish();
                self.is_finished = true;
                break;
            }
            if left == 0 {
                return Ok(Turn::Over);
            }
            match from.receive_stream(buffer).map_err(Broken::Sender)? {
                Received::Later => return Ok(Turn::Waits),
                Received::Nothing if self.is_one_way && from.has_closed() => {
                    return Err(Broken::Sender(io::ErrorKind::ConnectionReset.into()));
                }
                Received::Nothing => self.is_ended = true,
                Received::Bytes(count) => {
                    let sent = to.send(&buffer[..count]).map_err(Broken::Receiver)?;
                    self.outbox.push(&buffer[sent..count]);
                    left = left.saturating_sub(count);
                    *moved += count as u64;
                }
            }
        }
        Ok(Turn::Finished)
    }
}

/// Whose socket failed.
#[derive(Debug)]
pub enum Broken {
    Sender(io::Error),
    Receiver(io::Error),
}
