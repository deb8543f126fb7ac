//! Names: programs' questions to the router's port 53, answered by rule or by the host part. One stream
//! carries all questions (RFC 7766 framing), each under an id of its own.

use crate::notices::Notices;
use crate::packet::Pair;
use crate::rules::Rules;
use crate::upstream::{Dial, Received, Upstream};
use cloister_egress_policy::dns::{
    Query, Unanswered, error_reply, host_reply, read_answer, read_query, truncated, with_id,
};
use cloister_egress_policy::wire::{MAX_FRAME_BYTES, Request, Status, frame, split_frame};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

pub const PORT: u16 = 53;
/// Questions that wait for an answer.
const MAX_PENDING: usize = 512;
/// A program has given up or asked again by then.
const PATIENCE: Duration = Duration::from_secs(15);

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// What was refused, and is asked so that the host part's journal has it.
    Nobody,
    Datagram(Pair),
    /// A connection, by its place in the router's table and its number.
    Connection {
        key: usize,
        serial: u64,
    },
}

/// A message for a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub client: Client,
    pub message: Vec<u8>,
}

struct Pending {
    client: Client,
    /// Not the message, which may be a hundred times as long.
    query: Query,
    asked: Instant,
}

#[derive(Default)]
pub struct Resolver {
    upstream: Option<Upstream>,
    is_open: bool,
    pending: HashMap<u16, Pending>,
    last_id: u16,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Resolver {
    /// Takes a question. Returns the reply when there is one at once; otherwise the question waits to be
    /// sent by [`Self::progress`].
    pub fn ask(
        &mut self,
        client: Client,
        message: &[u8],
        rules: &Rules,
        notices: &mut Notices,
        now: Instant,
    ) -> Option<Reply> {
        let reply = match self.answer_here(client, message, rules, notices, now) {
            Ok(None) => return None,
            Ok(Some(message)) => message,
            Err(unanswered) => error_reply(message, unanswered)?,
        };
        Some(Reply {
            client,
            message: reply,
        })
    }

    fn answer_here(
        &mut self,
        client: Client,
        message: &[u8],
        rules: &Rules,
        notices: &mut Notices,
        now: Instant,
    ) -> Result<Option<Vec<u8>>, Unanswered> {
        let query = read_query(message)?;
        if !rules.may_ask(&query) {
            if notices.is_new_name(&query.name) {
                let _ = self.send(Client::Nobody, query, now);
            }
            return Err(Unanswered::Denied);
        }
        if let Some(reply) = host_reply(&query) {
            return Ok(Some(reply));
        }
        self.send(client, query, now).map(|()| None)
    }

    fn send(&mut self, client: Client, query: Query, now: Instant) -> Result<(), Unanswered> {
        let id = self.free_id(now).ok_or(Unanswered::ServerFailed)?;
        let framed = frame(&query.encode(id)).ok_or(Unanswered::Malformed)?;
        self.outgoing.extend(framed);
        let pending = Pending {
            client,
            query,
            asked: now,
        };
        self.pending.insert(id, pending);
        Ok(())
    }

    fn free_id(&mut self, now: Instant) -> Option<u16> {
        if self.pending.len() >= MAX_PENDING {
            self.pending
                .retain(|_, pending| now.duration_since(pending.asked) < PATIENCE);
        }
        if self.pending.len() >= MAX_PENDING || self.outgoing.len() >= MAX_FRAME_BYTES {
            return None;
        }
        // At most 512 of 65,536 are in use.
        while self.pending.contains_key(&self.last_id) {
            self.last_id = self.last_id.wrapping_add(1);
        }
        let id = self.last_id;
        self.last_id = id.wrapping_add(1);
        Some(id)
    }

    pub fn upstream(&mut self) -> Option<&mut Upstream> {
        self.upstream.as_mut()
    }

    /// Whether questions wait and there is no stream for them.
    pub fn needs_stream(&self) -> bool {
        self.upstream.is_none() && !self.outgoing.is_empty()
    }

    /// Opens a stream; the caller watches it.
    pub fn connect(&mut self, dial: &Dial) -> io::Result<&Upstream> {
        let upstream = Upstream::open(dial, &Request::Dns)?.watching_room();
        Ok(self.upstream.insert(upstream))
    }

    /// Sends what can be, and receives until there are replies: none when all has been received. When the stream breaks, every question that waits has failed.
    pub fn progress(&mut self, scratch: &mut [u8], rules: &mut Rules, now: Instant) -> Vec<Reply> {
        let mut replies = Vec::new();
        if let Err(error) = self.exchange(scratch, rules, now, &mut replies) {
            let why = match error.kind() {
                ErrorKind::PermissionDenied => Unanswered::Denied,
                _ => Unanswered::ServerFailed,
            };
            replies.extend(self.fail(why));
        }
        replies
    }

    fn exchange(
        &mut self,
        scratch: &mut [u8],
        rules: &mut Rules,
        now: Instant,
        replies: &mut Vec<Reply>,
    ) -> io::Result<()> {
        let Some(upstream) = &mut self.upstream else {
            return Ok(());
        };
        if !self.is_open {
            match upstream.answer()? {
                None => return Ok(()),
                Some(Status::Ok) => self.is_open = true,
                Some(Status::DeniedByHost | Status::DeniedByImage) => {
                    return Err(ErrorKind::PermissionDenied.into());
                }
                Some(_) => return Err(ErrorKind::ConnectionRefused.into()),
            }
        }
        while !self.outgoing.is_empty() && upstream.is_writable() {
            let sent = upstream.send(&self.outgoing)?;
            self.outgoing.drain(..sent);
        }
        loop {
            let Some(upstream) = &mut self.upstream else {
                return Ok(());
            };
            match upstream.receive(scratch)? {
                Received::Nothing => return Ok(()),
                Received::End => return Err(ErrorKind::UnexpectedEof.into()),
                Received::Bytes(count) => {
                    let bytes = scratch.get(..count).unwrap_or_default();
                    self.incoming.extend_from_slice(bytes);
                    self.take_answers(rules, now, replies);
                    if !replies.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take_answers(&mut self, rules: &mut Rules, now: Instant, replies: &mut Vec<Reply>) {
        let incoming = std::mem::take(&mut self.incoming);
        let mut rest = &incoming[..];
        while let Some((message, length)) = split_frame(rest) {
            replies.extend(self.answered(message, rules, now));
            rest = rest.get(length..).unwrap_or_default();
        }
        self.incoming = rest.to_vec();
    }

    fn answered(&mut self, message: &[u8], rules: &mut Rules, now: Instant) -> Option<Reply> {
        let id = u16::from_be_bytes(*message.first_chunk()?);
        let pending = self.pending.remove(&id)?;
        if pending.client == Client::Nobody {
            return None;
        }
        let reply = match read_answer(&pending.query, id, message) {
            Some(answer) => {
                rules.learn(&answer, now);
                with_id(message.to_vec(), pending.query.id)
            }
            None => pending.failure(Unanswered::ServerFailed)?,
        };
        Some(pending.reply(reply))
    }

    /// Closes the stream: no question that waits is answered.
    pub fn fail(&mut self, why: Unanswered) -> Vec<Reply> {
        let failed = std::mem::take(self).pending;
        let reply = |pending: &Pending| Some(pending.reply(pending.failure(why)?));
        failed.values().filter_map(reply).collect()
    }
}

impl Pending {
    fn failure(&self, why: Unanswered) -> Option<Vec<u8>> {
        error_reply(&self.query.encode(self.query.id), why)
    }

    /// Over UDP no longer than the program takes.
    fn reply(&self, message: Vec<u8>) -> Reply {
        let message = match self.client {
            Client::Datagram(_) => truncated(&self.query, message),
            Client::Connection { .. } | Client::Nobody => message,
        };
        Reply {
            client: self.client,
            message,
        }
    }
}
