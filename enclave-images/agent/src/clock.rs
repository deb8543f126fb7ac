//! The clock of the guest: set from the parent's before the app starts, and compared with it from then
//! on. A machine without a clock of its own begins at a whole second at best, loses what its host slept
//! through, and under emulation runs slow. The parent is the host, and is believed: nothing here makes
//! the guest's time trustworthy.
#![forbid(unsafe_code)]

use crate::channel::Channel;
use crate::event::ParentTime;
use crate::{console, kernel};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use std::io::{self, ErrorKind};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A smaller difference is left alone, and so to an app that keeps the time itself.
const TOLERANCE_NS: i128 = 50_000_000;
/// A clock that is ahead by at most this much is slowed down; everything else is a step.
const LONGEST_SLEW_NS: i128 = 500_000_000;
/// Between two looks: short after a correction, longer and longer while there is none to make.
const SHORTEST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(16);
/// How long the parent may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the parent said, and when that came.
struct Heard {
    time: ParentTime,
    at: Instant,
    clock: SystemTime,
}

static HEARD: OnceLock<SyncSender<Heard>> = OnceLock::new();

/// How far the guest's clock is behind the parent's, and how far that may be wrong.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    behind_ns: i128,
    uncertain_ns: i128,
}

impl Heard {
    fn now(time: ParentTime) -> Self {
        Self {
            time,
            at: Instant::now(),
            clock: SystemTime::now(),
        }
    }

    /// The parent read its clock at some moment between the question and the answer: in the middle.
    fn difference(&self, asked: Instant) -> Difference {
        let half = (self.at.saturating_duration_since(asked) / 2).as_nanos() as i128;
        let ours = self.clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        Difference {
            behind_ns: i128::from(self.time.unix_ns) + half - ours.as_nanos() as i128,
            uncertain_ns: half,
        }
    }
}

/// What is to be done about a difference.
#[derive(Debug, PartialEq, Eq)]
enum Correction {
    Nothing,
    Slew,
    Step,
}

impl Difference {
    fn correction(&self) -> Correction {
        let size = self.behind_ns.abs();
        if size <= self.uncertain_ns.max(TOLERANCE_NS) {
            Correction::Nothing
        } else if self.behind_ns < 0 && size <= LONGEST_SLEW_NS {
            Correction::Slew
        } else {
            Correction::Step
        }
    }

    fn step(&self) -> io::Result<()> {
        let ours = SystemTime::now().duration_since(UNIX_EPOCH);
        let wanted = ours.unwrap_or_default().as_nanos() as i128 + self.behind_ns;
        let wanted = u64::try_from(wanted).map_err(|_| ErrorKind::InvalidData)?;
        let time = TimeSpec::from_duration(Duration::from_nanos(wanted));
        Ok(clock_settime(ClockId::CLOCK_REALTIME, time)?)
    }
}

/// Sets the clock, before the app starts and before requests are served.
///
/// # Errors
/// `InvalidData` when the parent answers anything but its time, and what the stream reports.
pub fn set(channel: &Channel) -> io::Result<()> {
    let asked = Instant::now();
    let heard = Heard::now(channel.ask_time_at_once(0)?);
    heard.difference(asked).step()
}

/// Goes on comparing, in a thread of its own, as long as the parent answers.
pub fn keep(channel: &'static Channel) -> io::Result<()> {
    let (heard, answers) = mpsc::sync_channel(1);
    if HEARD.set(heard).is_err() {
        return Ok(());
    }
    thread::Builder::new()
        .name("clock".into())
        .spawn(move || follow(channel, &answers))?;
    Ok(())
}

/// Takes an answer of the parent's.
pub fn hear(time: ParentTime) {
    if let Some(answers) = HEARD.get() {
        // An answer that nobody waits for any more is of no use.
        let _ = answers.try_send(Heard::now(time));
    }
}

fn follow(channel: &Channel, answers: &Receiver<Heard>) {
    let mut wait = SHORTEST_WAIT;
    for id in 1.. {
        thread::sleep(wait);
        let asked = Instant::now();
        if channel.ask_time(id).is_err() {
            return;
        }
        let Some(heard) = answer_to(id, answers) else {
            continue;
        };
        wait = match correct(&heard.difference(asked)) {
            Ok(true) => SHORTEST_WAIT,
            Ok(false) => (wait * 2).min(LONGEST_WAIT),
            Err(error) => {
                console::say(&format!("set the clock: {error}"));
                LONGEST_WAIT
            }
        };
    }
}

/// Answers to earlier questions, which came too late, are passed over.
fn answer_to(id: u32, answers: &Receiver<Heard>) -> Option<Heard> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        let heard = answers.recv_timeout(left).ok()?;
        if heard.time.id == id {
            return Some(heard);
        }
    }
    None
}

/// Whether there was anything to correct.
fn correct(difference: &Difference) -> io::Result<bool> {
    match difference.correction() {
        Correction::Nothing => return Ok(false),
        Correction::Slew => {
            kernel::slew_clock((difference.behind_ns / 1000) as libc::c_long)?;
        }
        Correction::Step => difference.step()?,
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(parent_ms: u64, ours_ms: u64, rtt_ms: u64) -> Difference {
        let asked = Instant::now();
        let heard = Heard {
            time: ParentTime {
                id: 1,
                unix_ns: parent_ms * 1_000_000,
            },
            at: asked + Duration::from_millis(rtt_ms),
            clock: UNIX_EPOCH + Duration::from_millis(ours_ms),
        };
        heard.difference(asked)
    }

    #[test]
    fn the_answer_was_true_in_the_middle_of_the_wait() {
        let expected = Difference {
            behind_ns: 60_000_000,
            uncertain_ns: 10_000_000,
        };
        assert_eq!(heard(1050, 1000, 20), expected);
        assert_eq!(heard(1000, 1000, 0).behind_ns, 0);
    }

    #[test]
    fn small_and_uncertain_differences_are_left_alone() {
        assert_eq!(heard(1049, 1000, 2).correction(), Correction::Nothing);
        assert_eq!(heard(1000, 1400, 1000).correction(), Correction::Nothing);
        assert_eq!(heard(5000, 1000, 10_000).correction(), Correction::Step);
    }

    #[test]
    fn a_clock_steps_forward_and_is_slowed_down_rather_than_set_back() {
        assert_eq!(heard(1060, 1000, 2).correction(), Correction::Step);
        assert_eq!(heard(1000, 1060, 2).correction(), Correction::Slew);
        assert_eq!(heard(1000, 1502, 2).correction(), Correction::Step);
        assert_eq!(heard(0, 90_000_000, 2).correction(), Correction::Step);
    }

    #[test]
    fn times_that_cannot_be_are_no_steps() {
        let difference = Difference {
            behind_ns: i128::from(u64::MAX),
            uncertain_ns: 0,
        };
        assert!(difference.step().is_err());
    }
}
