//! What is ready, edge-triggered: a descriptor is announced when it turns ready, and its owner then works until the
//! kernel says that it would block. A closed descriptor is forgotten by itself.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

const BATCH: usize = 256;

/// A descriptor that turned ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub token: u64,
    /// There may be something to read, if only the end.
    pub readable: bool,
    pub writable: bool,
    /// There is an end, or urgent data, where reading stops short of what there is.
    pub stops: bool,
    /// Both directions are shut, or there is an error.
    pub gone: bool,
}

pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Watches a descriptor until it is closed.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let token = epoll::EventData::new_u64(token);
        Ok(epoll::add(&self.epoll, fd, token, flags(true))?)
    }

    /// The same, but does not announce that it is writable.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn add_guest(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let token = epoll::EventData::new_u64(token);
        Ok(epoll::add(&self.epoll, fd, token, flags(false))?)
    }

    /// From now on announces also that it turned writable; at once if it is.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn watch_room(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let token = epoll::EventData::new_u64(token);
        Ok(epoll::modify(&self.epoll, fd, token, flags(true))?)
    }

    /// Waits for at most `timeout` and replaces `ready` by what turned ready.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        let mut buffer = [const { MaybeUninit::<epoll::Event>::uninit() }; BATCH];
        let timeout = timeout.map(|it| Timespec::try_from(it).unwrap_or_default());
        match epoll::wait(&self.epoll, &mut buffer, timeout.as_ref()) {
            Ok((events, _)) => ready.extend(events.iter().map(ready_of)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn flags(watches_room: bool) -> epoll::EventFlags {
    use epoll::EventFlags as Flags;
    let mut flags = Flags::IN | Flags::PRI | Flags::RDHUP | Flags::ET;
    flags.set(Flags::OUT, watches_room);
    flags
}

fn ready_of(event: &epoll::Event) -> Ready {
    use epoll::EventFlags as Flags;
    let flags = event.flags;
    let gone = flags.intersects(Flags::HUP | Flags::ERR);
    Ready {
        token: event.data.u64(),
        readable: gone || flags.intersects(Flags::IN | Flags::RDHUP),
        writable: gone || flags.contains(Flags::OUT),
        stops: gone || flags.intersects(Flags::RDHUP | Flags::PRI),
        gone,
    }
}
