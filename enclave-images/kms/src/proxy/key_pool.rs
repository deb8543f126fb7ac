//! RSA keys made in advance: making one takes longer than everything else in a request. Each is used once.
#![forbid(unsafe_code)]

use crate::failure::{Code, Failure};
use crate::recipient::RecipientKey;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Keys that wait, beside the one being made.
const WAITING: usize = 2;

pub struct KeyPool(Mutex<Receiver<Result<RecipientKey, Failure>>>);

impl KeyPool {
    /// Starts to make keys, on a thread of its own that ends with the pool.
    #[must_use]
    pub fn start() -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        thread::spawn(move || while sender.send(RecipientKey::generate()).is_ok() {});
        Self(Mutex::new(receiver))
    }

    /// A key that nobody else has or will get.
    pub fn take(&self) -> Result<RecipientKey, Failure> {
        let gone = || Failure::new(Code::Internal, "keys are no longer generated");
        let receiver = self.0.lock().map_err(|_| gone())?;
        receiver.recv().map_err(|_| gone())?
    }
}
