//! The agent channel, a stream to the parent: events and questions out, answers and requests to signal in.
#![forbid(unsafe_code)]

use crate::app::App;
use crate::event::{
    ASK_FOR_CONFIGURATION, Event, MAX_MESSAGE_BYTES, ParentTime, Request, ask_time,
};
use crate::{clock, config, console, frame, parent};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use vsock::VsockStream;

/// How long the parent may take to read an event.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the parent may take to close the stream once it has the last event.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The one stream, known to every thread so that each can say how the enclave ended.
static CHANNEL: OnceLock<Channel> = OnceLock::new();

pub struct Channel {
    stream: VsockStream,
}

/// Connects to the parent; from here on [`report_end`] reaches it.
pub fn connect() -> io::Result<&'static Channel> {
    let stream = parent::connect(parent::AGENT_PORT, None)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(CHANNEL.get_or_init(|| Channel { stream }))
}

impl Channel {
    /// Sends an event. A parent that is gone does not stop the app.
    pub fn send(&self, event: &Event) {
        if let Err(error) = frame::write(&self.stream, &event.encode()) {
            console::say(&format!("agent channel: {error}"));
        }
    }

    /// What the parent gives the app, as it is measured. Asked for before requests are served, so nothing
    /// else can come.
    pub fn ask_for_configuration(&self) -> io::Result<Vec<u8>> {
        frame::write(&self.stream, ASK_FOR_CONFIGURATION)?;
        frame::read(&self.stream, config::MAX_BYTES)
    }

    /// Asks what time it is; the answer comes as a request.
    pub fn ask_time(&self, id: u32) -> io::Result<()> {
        frame::write(&self.stream, &ask_time(id))
    }

    /// Asks what time it is, before requests are served.
    pub fn ask_time_at_once(&self, id: u32) -> io::Result<ParentTime> {
        self.ask_time(id)?;
        let answer = frame::read(&self.stream, MAX_MESSAGE_BYTES)?;
        match Request::decode(&answer) {
            Ok(Request::Time(time)) if time.id == id => Ok(time),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The parent closes the stream when it has read the last event. Waits for that, but not indefinitely.
    /// Bytes that still come are dropped.
    fn wait_until_closed(&self) {
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        let mut dropped = [0; 256];
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut ready = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, timeout) {
                Ok(1..) if !matches!((&self.stream).read(&mut dropped), Ok(1..)) => return,
                Err(error) if error != nix::errno::Errno::EINTR => return,
                _ => {}
            }
        }
    }
}

/// Sends the last event and gives the parent time to read it. Safe to call from any thread, and
/// without effect when the channel was never connected.
pub fn report_end(event: &Event) {
    if let Some(channel) = CHANNEL.get() {
        channel.send(event);
        channel.wait_until_closed();
    }
}

/// Serves the parent's requests in a thread of their own until the parent closes the stream.
pub fn serve(channel: &'static Channel, app: Arc<App>) -> io::Result<()> {
    thread::Builder::new()
        .name("agent channel".into())
        .spawn(move || serve_requests(channel, &app))?;
    Ok(())
}

fn serve_requests(channel: &Channel, app: &App) {
    while let Ok(message) = frame::read(&channel.stream, MAX_MESSAGE_BYTES) {
        match Request::decode(&message) {
            Ok(Request::Signal(signal)) => app.signal(signal),
            Ok(Request::Time(time)) => clock::hear(time),
            Err(error) => console::say(&format!("agent channel: refused a request: {error}")),
        }
    }
}
