//! Ends a card that does nothing any more. Its worker belongs to vhost-user-backend, which reads and
//! writes the VMM's events: a VMM can make such a call fail, which ends the worker without a word,
//! or wait for ever. Nothing but a new process helps, and the keeper must hear of it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);
/// Periods in a row without a sign of the worker; a round of work takes milliseconds. They are
/// counted, not timed: a card that was stopped for a while has missed none.
const PATIENCE: u32 = 10;

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

/// Rings the worker's bell (an event it watches) once a second; ends the process, with its name in
/// the last words, when the pulse stays out.
///
/// # Errors
/// When its thread cannot be started.
pub fn watch(name: &'static str, pulse: Pulse, bell: OwnedFd) -> io::Result<()> {
    let watcher = thread::Builder::new().name("watchdog".to_owned());
    watcher.spawn(move || {
        let mut missed = 0;
        while missed < PATIENCE {
            let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
            thread::sleep(PERIOD);
            missed = if pulse.take() { 0 } else { missed + 1 };
        }
        // The worker has ended or waits for ever, with all locks: there is nothing left to save.
        eprintln!("{name}: held up by the VMM: its events fail or block");
        std::process::exit(1);
    })?;
    Ok(())
}
