//! Ends a card that does nothing any more. Its worker belongs to vhost-user-backend, which reads and
//! writes the VMM's events: a VMM can make such a call fail, which ends the worker without a word,
//! or wait for ever. Nothing but a new process helps, and the keeper must hear of it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the worker may take to look up; a round of work takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_secs(1);

/// What the worker shows of itself each time it works.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicBool>);

impl Pulse {
    pub fn beat(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Rings the worker's bell (an event it watches) once a second; calls `when_stuck` when the pulse
/// stays out.
///
/// # Errors
/// When its thread cannot be started.
pub fn watch(pulse: Pulse, bell: OwnedFd, when_stuck: fn()) -> io::Result<()> {
    let watcher = thread::Builder::new().name("watchdog".to_owned());
    watcher.spawn(move || {
        let mut seen = Instant::now();
        loop {
            if pulse.take() {
                seen = Instant::now();
            } else if seen.elapsed() >= PATIENCE {
                when_stuck();
            }
            let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
            thread::sleep(PERIOD);
        }
    })?;
    Ok(())
}
