//! Clients of published ports: who is let in. Half of the card's flows are theirs at most. Where both are published, half
//! of those are for connections and half for datagrams, so that neither takes the other's place. Beyond that a connection
//! is reset, and for a datagram the client leaves that was silent longest.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::Status;
use cloister_ingress_wire::Arrival;
use serde_json::{Value, json};
use slab::Slab;

use crate::context::{ArrivalCounters, Context, TurnedAway, token};
use crate::doors::{Door, local_address};
use crate::flow::{Arriving, Flow, Visitor, prepare_connection, reset};
use crate::pace::Pace;

/// The poller's tokens of doors count down from here.
const FIRST_DOOR: u64 = u64::MAX - 3;
const MAX_DOORS: u64 = 1024;
/// Clients over UDP that may take others' places. Each needs a stream to the guest, of which the vsock card opens four times
/// as many: a flood leaves those of other ports theirs.
const DISMISSALS_PER_SECOND: u32 = 1024;
/// Clients and datagrams of one door before others get their turn.
const TURN: usize = 256;

pub struct Reception {
    doors: Vec<Door>,
    /// Those where somebody may wait.
    open: Vec<usize>,
    /// What is left of the turn of the door that has it.
    left: usize,
    visitors: HashMap<(usize, SocketAddr), usize>,
    count: usize,
    max: usize,
    max_connections: usize,
    dismissals: Pace,
    /// Of the card.
    max_flows: usize,
}

impl Reception {
    /// # Errors
    /// When a door cannot be watched.
    pub fn new(doors: Vec<Door>, max_flows: usize, context: &Context) -> io::Result<Self> {
        for (door, token) in doors.iter().zip((0..=FIRST_DOOR).rev()) {
            context.poller.add(door, token)?;
        }
        let (max, has_datagrams) = (max_flows / 2, doors.iter().any(takes_datagrams));
        Ok(Self {
            doors,
            open: Vec::new(),
            left: TURN,
            visitors: HashMap::new(),
            count: 0,
            max,
            max_connections: if has_datagrams { max / 2 } else { max },
            dismissals: Pace::new(DISMISSALS_PER_SECOND, context.now),
            max_flows,
        })
    }

    /// The door of a poller's token.
    #[must_use]
    pub fn door_of(token: u64) -> Option<usize> {
        let index = FIRST_DOOR.checked_sub(token)?;
        (index < MAX_DOORS).then_some(index as usize)
    }

    /// Somebody may wait there.
    pub fn open(&mut self, door: usize) {
        if !self.open.contains(&door) {
            self.open.push(door);
        }
    }

    pub fn open_all(&mut self) {
        (0..self.doors.len()).for_each(|door| self.open(door));
    }

    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.open.is_empty()
    }

    pub fn take_open(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.open)
    }

    /// Lets in the next one at a door, and says which flow has to do; nothing when it is another door's turn.
    pub fn next(
        &mut self,
        door: usize,
        context: &mut Context,
        flows: &mut Slab<Flow>,
    ) -> Option<usize> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let next = match self.doors.get(door)?.protocol {
                Protocol::Tcp => self.next_connection(door, context, flows),
                Protocol::Udp => self.next_datagram(door, context, flows),
            };
            match next {
                Some(None) => {}
                Some(client) => return client,
                None => {
                    self.left = TURN;
                    return None;
                }
            }
        }
        self.left = TURN;
        self.open(door);
        None
    }

    /// Nothing when nobody waits, and nothing inside when who waited is turned away.
    fn next_connection(
        &mut self,
        door: usize,
        context: &mut Context,
        flows: &mut Slab<Flow>,
    ) -> Option<Option<usize>> {
        let here = self.doors.get(door)?;
        let (client, from) = here.accept()?;
        let slot = flows.vacant_entry();
        let key = slot.key();
        let is_ready = prepare_connection(&client).is_ok();
        let is_full = self.count - self.visitors.len() >= self.max_connections;
        if is_full || key >= self.max_flows || !is_ready {
            context.arrivals.too_many += 1;
            reset(&client);
            return Some(None);
        }
        if context.poller.add(&client, token(key, false)).is_err() {
            return Some(None);
        }
        let server = local_address(&client, here);
        let arrival = arrival(here, from, server);
        slot.insert(Flow::Arriving(Arriving::new(
            door,
            client,
            arrival,
            context.now,
        )));
        self.count += 1;
        Some(Some(key))
    }

    /// The same for a datagram: of a client that is here already, or of a new one.
    fn next_datagram(
        &mut self,
        door: usize,
        context: &mut Context,
        flows: &mut Slab<Flow>,
    ) -> Option<Option<usize>> {
        let here = self.doors.get(door)?;
        let mut buffer = std::mem::take(&mut context.buffer);
        let received = here.receive(&mut buffer[..usize::from(u16::MAX)]);
        let taken = received.map(|(client, count)| {
            let key = self.visitor(door, client, context, flows)?;
            if let Some(Flow::Visitor(visitor)) = flows.get_mut(key) {
                visitor.take(&buffer[..count], context);
            }
            Some(key)
        });
        context.buffer = buffer;
        taken
    }

    fn visitor(
        &mut self,
        door: usize,
        client: SocketAddr,
        context: &mut Context,
        flows: &mut Slab<Flow>,
    ) -> Option<usize> {
        if let Some(key) = self.visitors.get(&(door, client)) {
            return Some(*key);
        }
        let is_full = self.visitors.len() >= self.max / 2 || flows.len() >= self.max_flows;
        if is_full {
            context.arrivals.too_many += 1;
            self.dismiss(context, flows)?;
        }
        let here = self.doors.get(door)?;
        let arrival = arrival(here, client, here.address);
        let visitor = Visitor::new(door, here.mouth(), arrival, context.now);
        let key = flows.insert(Flow::Visitor(visitor));
        self.visitors.insert((door, client), key);
        self.count += 1;
        Some(key)
    }

    /// Ends the flow of datagrams that matters least, unless this has happened too often.
    fn dismiss(&mut self, context: &Context, flows: &mut Slab<Flow>) -> Option<()> {
        if !self.dismissals.take(context.now) {
            return None;
        }
        let standing = |key: &usize| match flows.get(*key) {
            Some(Flow::Visitor(visitor)) => Some((visitor.standing(), *key)),
            _ => None,
        };
        let (_, key) = self.visitors.values().filter_map(standing).min()?;
        let flow = flows.try_remove(key)?;
        self.leave(flow.visitor());
        Some(())
    }

    /// One of them has gone.
    pub fn leave(&mut self, visitor: Option<(usize, SocketAddr)>) {
        self.count -= 1;
        if let Some(visitor) = visitor {
            self.visitors.remove(&visitor);
        }
    }

    /// What the keeper is to hear of a client that was turned away: the first of each kind.
    pub fn news_of(&mut self, TurnedAway { door, why }: TurnedAway) -> Option<Value> {
        let door = self.doors.get_mut(door)?;
        door.is_news(why).then(|| {
            let Door {
                guest_port,
                protocol,
                ..
            } = door;
            let why = word_for(why);
            let away = json!({ "guestPort": guest_port, "protocol": protocol, "why": why });
            json!({ "event": "turnedAway", "turnedAway": away })
        })
    }

    #[must_use]
    pub fn report(&self, counters: &ArrivalCounters) -> Option<Value> {
        let is_there = !self.doors.is_empty();
        is_there.then(|| json!({ "open": self.count, "max": self.max, "counters": counters }))
    }
}

fn takes_datagrams(door: &Door) -> bool {
    door.protocol == Protocol::Udp
}

fn word_for(why: Status) -> &'static str {
    match why {
        Status::ConnectionRefused => "refused",
        Status::DeniedByImage => "undeclared",
        Status::TooManyFlows => "tooMany",
        Status::TimedOut => "timedOut",
        Status::HostUnreachable => "unreachable",
        _ => "malformed",
    }
}

fn arrival(door: &Door, client: SocketAddr, server: SocketAddr) -> Arrival {
    Arrival {
        protocol: door.protocol,
        port: door.guest_port.get(),
        client,
        server,
    }
}
