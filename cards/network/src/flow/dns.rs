//! A stream of questions (RFC 7766): each is decided, and asked anew of the host's resolvers or answered here.

use cloister_egress_policy::dns::{
    Query, Unanswered, error_reply, host_reply, read_query, reply_to,
};
use cloister_egress_policy::wire::{frame, split_frame};

use super::lookup::failure;
use crate::context::{Asker, Context, Question};
use crate::outbox::Outbox;
use crate::socket::{Received, Socket};

/// Questions on their way; further ones wait on the stream.
const MAX_WAITING: usize = 64;
/// Of answers that the guest does not read; failures of `MAX_WAITING` questions may come on top.
const MAX_OUTBOX_BYTES: usize = 256 * 1024;
/// Reads before others get their turn.
const TURN: usize = 16;
const READ_BYTES: usize = 4096;
/// Longer than any question, with its options: a stream that announces more is not one of questions.
const MAX_QUESTION_BYTES: u16 = 4096;

pub struct DnsFlow {
    pub guest: Socket,
    pub number: u64,
    inbox: Vec<u8>,
    outbox: Outbox,
    waiting: usize,
    is_ended: bool,
}

impl DnsFlow {
    #[must_use]
    pub fn new(guest: Socket, number: u64, early: &[u8]) -> Self {
        Self {
            guest,
            number,
            inbox: early.to_vec(),
            outbox: Outbox::default(),
            waiting: 0,
            is_ended: false,
        }
    }

    /// Takes the answer to one of its questions, which has failed where too many bytes wait for the guest already.
    pub fn take(&mut self, query: &Query, answer: &[u8]) {
        self.waiting = self.waiting.saturating_sub(1);
        if self.outbox.len() + answer.len() > MAX_OUTBOX_BYTES {
            return self.reply(&failure(query));
        }
        self.reply(&reply_to(query, answer));
    }

    #[must_use]
    pub fn work(mut self, context: &mut Context, key: usize) -> Option<Self> {
        for _ in 0..TURN {
            self.take_questions(context, key)?;
            let has_sent = self.outbox.flush(&mut self.guest).ok()?;
            if self.is_ended {
                return (self.waiting > 0 || !has_sent).then_some(self);
            }
            if self.is_full() {
                return Some(self);
            }
            match self.guest.receive(&mut context.buffer[..READ_BYTES]).ok()? {
                Received::Bytes(count) => self.inbox.extend_from_slice(&context.buffer[..count]),
                Received::Nothing => self.is_ended = true,
                Received::Later => return Some(self),
            }
        }
        context.again.push(key);
        Some(self)
    }

    fn is_full(&self) -> bool {
        self.waiting >= MAX_WAITING || self.outbox.len() >= MAX_OUTBOX_BYTES
    }

    /// Nothing when what follows cannot be a question.
    fn take_questions(&mut self, context: &mut Context, key: usize) -> Option<()> {
        let mut taken = 0;
        while !self.is_full() {
            let Some((message, length)) = split_frame(&self.inbox[taken..]) else {
                break;
            };
            taken += length;
            let message = message.to_vec();
            self.take_question(&message, context, key);
        }
        self.inbox.drain(..taken);
        let announced = self.inbox.first_chunk().copied().map(u16::from_be_bytes);
        announced
            .is_none_or(|it| it <= MAX_QUESTION_BYTES)
            .then_some(())
    }

    fn take_question(&mut self, message: &[u8], context: &mut Context, key: usize) {
        let unanswered = match read_query(message) {
            Ok(query) => match context.judge.decide_question(&query.name) {
                Ok(()) => return self.ask(query, context, key),
                Err(refusal) => {
                    context.refuse(refusal);
                    Unanswered::Denied
                }
            },
            Err(unanswered) => unanswered,
        };
        if let Some(reply) = error_reply(message, unanswered) {
            self.reply(&reply);
        }
    }

    fn ask(&mut self, query: Query, context: &mut Context, key: usize) {
        if let Some(reply) = host_reply(&query) {
            return self.reply(&reply);
        }
        self.waiting += 1;
        let asker = Asker {
            key,
            number: self.number,
        };
        context.questions.push(Question { asker, query });
    }

    fn reply(&mut self, message: &[u8]) {
        if let Some(framed) = frame(message) {
            self.outbox.push(&framed);
        }
    }
}
