//! The card's own epoll set: unix sockets, the card channel and a timer. It is nested in the
//! epoll of vhost-user-backend's worker, so that one thread does all the work.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

pub use rustix::event::epoll::EventFlags;

const BATCH: usize = 64;
const TIMER: u64 = u64::MAX;
const AGAIN: u64 = u64::MAX - 1;

/// Something that became ready.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Descriptor { token: u64, flags: EventFlags },
    Timer,
}

pub struct Reactor {
    epoll: OwnedFd,
    timer: OwnedFd,
    again: OwnedFd,
    period: Option<Duration>,
}

impl Reactor {
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let again = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), flags)?;
        epoll::add(&epoll, &again, epoll::EventData::new_u64(AGAIN), flags)?;
        Ok(Self {
            epoll,
            timer,
            again,
            period: None,
        })
    }

    /// Watches a descriptor until it is closed.
    pub fn add(&self, fd: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(token),
            flags,
        )?)
    }

    /// Watches a descriptor no longer.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Changes what is watched for.
    pub fn modify(&self, fd: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(token),
            flags,
        )?)
    }

    /// Replaces `events` by what is ready now; never blocks.
    pub fn poll(&self, events: &mut Vec<Event>) {
        events.clear();
        let mut buffer = [const { MaybeUninit::<epoll::Event>::uninit() }; BATCH];
        let now = Timespec::default();
        // On EINTR the descriptors stay ready.
        if let Ok((ready, _)) = epoll::wait(&self.epoll, &mut buffer, Some(&now)) {
            events.extend(ready.iter().filter_map(event_of));
        }
        if events.iter().any(|event| matches!(event, Event::Timer)) {
            let _ = rustix::io::read(&self.timer, &mut [0; 8]); // a timer goes on once it is read
        }
    }

    /// Makes the timer fire every `period`, or not at all.
    pub fn set_period(&mut self, period: Option<Duration>) {
        if self.period == period {
            return;
        }
        let value = Timespec::try_from(period.unwrap_or_default()).unwrap_or_default();
        let spec = Itimerspec {
            it_interval: value,
            it_value: value,
        };
        if timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec).is_ok() {
            self.period = period;
        }
    }

    /// An event whose every write wakes the set up, for another thread.
    pub fn bell(&self) -> io::Result<OwnedFd> {
        self.again.try_clone()
    }

    /// Makes the set ready once more, for work that was left over.
    pub fn wake(&self) {
        let _ = rustix::io::write(&self.again, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Reactor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn event_of(event: &epoll::Event) -> Option<Event> {
    match event.data.u64() {
        AGAIN => None,
        TIMER => Some(Event::Timer),
        token => Some(Event::Descriptor {
            token,
            flags: event.flags,
        }),
    }
}
