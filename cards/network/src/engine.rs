//! All flows of one enclave, in one thread: what turned ready gets its turn, what has waited for too long ends.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cloister_egress_policy::wire::Status;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use serde_json::{Value, json};
use slab::Slab;

use crate::channel::{Channel, Heard, Request, RequestBody};
use crate::context::{Asker, Context, Question, token};
use crate::doors::Door;
use crate::flow::{Flow, Greeting, Lookup, failure, tell};
use crate::poller::Ready;
use crate::reception::Reception;
use crate::socket::Socket;

/// Questions to resolvers at once, beside the flows.
pub const MAX_LOOKUPS: usize = 512;
const LISTENER: u64 = u64::MAX;
const CHANNEL: u64 = u64::MAX - 1;
const DIALLER: u64 = u64::MAX - 2;
/// How exactly deadlines are kept.
const TICK: Duration = Duration::from_millis(200);
const MAX_RESOLVERS: usize = 3;

pub struct Engine {
    listener: OwnedFd,
    channel: Channel,
    flows: Slab<Flow>,
    /// Keys of those flows that are questions to resolvers.
    lookups: Vec<usize>,
    max_flows: usize,
    next_tick: Instant,
    context: Context,
    reception: Reception,
}

/// The sockets that the card inherits.
pub struct Sockets {
    pub listener: OwnedFd,
    pub channel: Channel,
    pub doors: Vec<Door>,
}

impl Engine {
    /// # Errors
    /// When the inherited sockets cannot be watched.
    pub fn new(sockets: Sockets, max_flows: usize, context: Context) -> io::Result<Self> {
        let Sockets {
            listener,
            channel,
            doors,
        } = sockets;
        context.poller.add(&listener, LISTENER)?;
        context.poller.add(&channel, CHANNEL)?;
        if let Some(dialler) = &context.dialler {
            context.poller.add(dialler, DIALLER)?;
        }
        Ok(Self {
            reception: Reception::new(doors, max_flows, &context)?,
            listener,
            channel,
            flows: Slab::new(),
            lookups: Vec::new(),
            max_flows,
            next_tick: context.now + TICK,
            context,
        })
    }

    /// Tells the keeper something it did not ask for.
    pub fn tell(&mut self, message: &Value) {
        self.channel.tell(message);
    }

    /// Serves until the keeper goes.
    ///
    /// # Errors
    /// When the kernel refuses to say what is ready, or the process that dials the guest has ended.
    pub fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.context.poller.wait(&mut ready, self.timeout())?;
            self.context.now = Instant::now();
            for event in &ready {
                match event.token {
                    LISTENER => self.accept(),
                    CHANNEL => {
                        self.channel.note(*event);
                        if !self.hear() {
                            return Ok(());
                        }
                    }
                    DIALLER => self.take_streams()?,
                    token => match Reception::door_of(token) {
                        Some(door) => self.reception.open(door),
                        None => self.note(*event),
                    },
                }
            }
            self.receive();
            for key in std::mem::take(&mut self.context.again) {
                self.work(key);
            }
            self.expire();
            self.tell_news();
        }
    }

    fn tell_news(&mut self) {
        for refused in std::mem::take(&mut self.context.news) {
            self.channel
                .tell(&json!({ "event": "refused", "refused": refused }));
        }
        for away in std::mem::take(&mut self.context.turned_away) {
            if let Some(news) = self.reception.news_of(away) {
                self.channel.tell(&news);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.context.again.is_empty() || self.reception.has_more() {
            return Some(Duration::ZERO);
        }
        (!self.flows.is_empty()).then_some(TICK)
    }

    fn accept(&mut self) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            match accept_with(&self.listener, flags) {
                Ok(stream) => self.greet(stream),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                // Until one of the descriptors is closed, those that wait are looked at with each tick.
                Err(_) => return,
            }
        }
    }

    /// Lets in who waits at the doors.
    fn receive(&mut self) {
        for door in self.reception.take_open() {
            while let Some(client) = self
                .reception
                .next(door, &mut self.context, &mut self.flows)
            {
                self.work(client);
            }
        }
    }

    /// Passes on the streams to the guest that clients wait for.
    fn take_streams(&mut self) -> io::Result<()> {
        while let Some((asker, stream)) = self.context.next_stream()? {
            let Asker { key, number } = asker;
            if let Some(call) = self.flows.get_mut(key).and_then(Flow::call)
                && call.answer(number, stream, &self.context, key)
            {
                self.work(key);
            }
        }
        Ok(())
    }

    fn greet(&mut self, stream: OwnedFd) {
        if self.flows.len() - self.lookups.len() >= self.max_flows {
            self.context.counters.too_many += 1;
            tell(&mut Socket::new(stream), Status::TooManyFlows);
            return;
        }
        let entry = self.flows.vacant_entry();
        let key = entry.key();
        if self
            .context
            .poller
            .add_guest(&stream, token(key, true))
            .is_ok()
        {
            entry.insert(Flow::Greeting(Greeting::new(stream, self.context.now)));
            self.work(key);
        }
    }

    fn note(&mut self, ready: Ready) {
        let key = (ready.token >> 1) as usize;
        // A flow that ended in this round may have left an event.
        if let Some(flow) = self.flows.get_mut(key) {
            flow.note(ready.token & 1 == 1, ready);
            self.work(key);
        }
    }

    /// Gives a flow its turn, and does what it left to do.
    fn work(&mut self, key: usize) {
        self.turn(key, Flow::work);
        self.serve_questions();
    }

    fn turn(&mut self, key: usize, act: fn(Flow, &mut Context, usize) -> Option<Flow>) {
        let Some(slot) = self.flows.get_mut(key) else {
            return;
        };
        let flow = std::mem::replace(slot, Flow::Away);
        let is_lookup = matches!(flow, Flow::Lookup(_));
        let (is_arrival, visitor) = (flow.is_arrival(), flow.visitor());
        let context = &mut self.context;
        let left = act(flow, context, key).and_then(|mut flow| {
            let guest = flow.guest();
            let rewatched =
                guest.map_or(Ok(()), |it| it.rewatch(&context.poller, token(key, true)));
            rewatched.ok().map(|()| flow)
        });
        match left {
            Some(flow) => self.flows[key] = flow,
            None => {
                self.flows.remove(key);
                if is_arrival {
                    self.reception.leave(visitor);
                }
                if is_lookup {
                    self.lookups.retain(|it| *it != key);
                }
            }
        }
    }

    /// Passes on questions and answers until there are none; an answer may make room for questions.
    fn serve_questions(&mut self) {
        while !(self.context.questions.is_empty() && self.context.answers.is_empty()) {
            for question in std::mem::take(&mut self.context.questions) {
                self.look_up(question);
            }
            for (askers, message) in std::mem::take(&mut self.context.answers) {
                for question in askers {
                    self.answer(&question, &message);
                }
            }
        }
    }

    /// Asks, or lets the question wait for the answer of one that is on its way.
    fn look_up(&mut self, question: Question) {
        let same = self.lookups.iter().find(
            |key| matches!(&self.flows[**key], Flow::Lookup(it) if it.answers(&question.query)),
        );
        if let Some(key) = same
            && let Flow::Lookup(lookup) = &mut self.flows[*key]
        {
            return match lookup.join(question) {
                Ok(()) => {}
                Err(question) => self.fail(question),
            };
        }
        if self.lookups.len() >= MAX_LOOKUPS {
            return self.fail(question);
        }
        self.context.counters.lookups += 1;
        let entry = self.flows.vacant_entry();
        let key = entry.key();
        if let Some(lookup) = Lookup::start(question, &mut self.context, key) {
            entry.insert(Flow::Lookup(lookup));
            self.lookups.push(key);
        }
    }

    fn fail(&mut self, question: Question) {
        let reply = failure(&question.query);
        self.context.answers.push((vec![question], reply));
    }

    fn answer(&mut self, Question { asker, query }: &Question, answer: &[u8]) {
        if let Some(Flow::Dns(flow)) = self.flows.get_mut(asker.key)
            && flow.number == asker.number
        {
            flow.take(query, answer);
            self.turn(asker.key, Flow::work);
        }
    }

    fn expire(&mut self) {
        if self.context.now < self.next_tick {
            return;
        }
        self.next_tick = self.context.now + TICK;
        let now = self.context.now;
        let late: Vec<usize> = self
            .flows
            .iter()
            .filter(|(_, flow)| flow.deadline().is_some_and(|deadline| deadline <= now))
            .map(|(key, _)| key)
            .collect();
        for key in late {
            self.turn(key, Flow::expire);
            self.serve_questions();
        }
        self.accept();
        self.reception.open_all();
        self.receive();
    }

    /// Answers the keeper; false when it has gone.
    fn hear(&mut self) -> bool {
        self.channel.flush();
        loop {
            match self.channel.listen() {
                Heard::Request(Request { id, body }) => {
                    let result = self.answer_keeper(body);
                    self.channel.tell(&json!({ "id": id, "result": result }));
                }
                Heard::Invalid(message) => {
                    let error = json!({ "code": "ERR_NETWORK_CONTROL", "message": message });
                    self.channel.tell(&json!({ "id": null, "error": error }));
                }
                Heard::Nothing => return true,
                Heard::Gone => return false,
            }
        }
    }

    fn answer_keeper(&mut self, body: RequestBody) -> Value {
        if let RequestBody::SetResolvers { mut resolvers } = body {
            resolvers.truncate(MAX_RESOLVERS);
            self.context.resolvers = resolvers;
        }
        json!({
            "flows": self.flows.len() - self.lookups.len(),
            "maxFlows": self.max_flows,
            "counters": self.context.counters,
            "refused": self.context.refusals.total(),
            "refusals": self.context.refusals.list(),
            "refusedByRule": self.context.refusals.by_rule(),
            "arrivals": self.reception.report(&self.context.arrivals),
        })
    }
}
