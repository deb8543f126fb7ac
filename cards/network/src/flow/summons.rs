//! A stream to the guest for a client that has arrived: asked for at the dialler, connected by the vsock card to the
//! guest's ingress process, told who the client is, and answered.

use std::os::fd::OwnedFd;

use cloister_egress_policy::wire::Status;
use cloister_ingress_wire::Arrival;

use crate::context::{Context, token};
use crate::outbox::Outbox;
use crate::socket::{Received, Socket};

/// `OK 4294967295\n`, and more than that is none.
const MAX_LINE_BYTES: usize = 16;
/// Read at once: the line, the answer, and what a program says first.
const READ_BYTES: usize = 4096;

/// How a client gets its stream.
pub struct Call {
    pub arrival: Arrival,
    state: CallState,
}

enum CallState {
    NotMade,
    /// With the number of the question.
    Waits(u64),
    Answered(Summons),
}

impl Call {
    #[must_use]
    pub fn new(arrival: Arrival) -> Self {
        Self {
            arrival,
            state: CallState::NotMade,
        }
    }

    /// Asks for a stream, unless it has; where too many have, it has to ask later.
    pub fn make(&mut self, context: &mut Context, key: usize) {
        if matches!(self.state, CallState::NotMade)
            && let Some(number) = context.dial(key)
        {
            self.state = CallState::Waits(number);
        }
    }

    /// Takes the answer to a question of this number; whether there is a stream now.
    pub fn answer(
        &mut self,
        number: u64,
        stream: Option<OwnedFd>,
        context: &Context,
        key: usize,
    ) -> bool {
        if !matches!(self.state, CallState::Waits(asked) if asked == number) {
            return false; // of a client that has gone
        }
        let summons = stream.and_then(|it| Summons::new(it, &self.arrival, context, key));
        self.state = summons.map_or(CallState::NotMade, CallState::Answered);
        matches!(self.state, CallState::Answered(_))
    }

    /// Nothing while the stream is not there.
    pub fn summons(&mut self) -> Option<&mut Summons> {
        match &mut self.state {
            CallState::Answered(summons) => Some(summons),
            _ => None,
        }
    }

    /// What it has come to.
    pub fn work(&mut self, context: &mut Context) -> Progress {
        let summons = self.summons();
        summons.map_or(Progress::Waits, |it| it.work(context))
    }

    /// The guest's end of a client that was taken.
    #[must_use]
    pub fn into_guest(self) -> Option<Socket> {
        match self.state {
            CallState::Answered(summons) => Some(summons.guest),
            _ => None,
        }
    }
}

pub struct Summons {
    pub guest: Socket,
    outbox: Outbox,
    inbox: Vec<u8>,
}

/// How far it has come.
pub enum Progress {
    Waits,
    /// The guest has taken the client, and its program has said this already.
    Taken(Vec<u8>),
    Refused(Status),
}

impl Summons {
    /// Nothing when the stream cannot be watched.
    fn new(stream: OwnedFd, arrival: &Arrival, context: &Context, key: usize) -> Option<Self> {
        context.poller.add_guest(&stream, token(key, true)).ok()?;
        let mut outbox = Outbox::default();
        outbox.push(&arrival.encode());
        Some(Self {
            guest: Socket::guest(stream),
            outbox,
            inbox: Vec::new(),
        })
    }

    fn work(&mut self, context: &mut Context) -> Progress {
        if self.outbox.flush(&mut self.guest).is_err() {
            return Progress::Refused(Status::HostUnreachable);
        }
        loop {
            if let Some(progress) = self.read_answer() {
                return progress;
            }
            match self.guest.receive(&mut context.buffer[..READ_BYTES]) {
                Ok(Received::Bytes(count)) => {
                    self.inbox.extend_from_slice(&context.buffer[..count]);
                }
                Ok(Received::Later) => return Progress::Waits,
                // Nobody listens in the guest, yet or any more.
                Ok(Received::Nothing) | Err(_) => {
                    return Progress::Refused(Status::HostUnreachable);
                }
            }
        }
    }

    fn read_answer(&mut self) -> Option<Progress> {
        let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') else {
            let is_line = self.inbox.len() < MAX_LINE_BYTES;
            return (!is_line).then_some(Progress::Refused(Status::Malformed));
        };
        if !self.inbox.starts_with(b"OK ") {
            return Some(Progress::Refused(Status::Malformed));
        }
        let status = Status::from_byte(*self.inbox.get(end + 1)?);
        Some(match status {
            Some(Status::Ok) => Progress::Taken(self.inbox.split_off(end + 2)),
            Some(status) => Progress::Refused(status),
            None => Progress::Refused(Status::Malformed),
        })
    }
}
