//! The resolver's answer: to the question that was asked, and the addresses it gives by way of aliases.

use std::collections::HashMap;
use std::net::IpAddr;

use domain::base::iana::{Class, Rtype};
use domain::base::{Message, ParsedName, ParsedRecord};
use domain::rdata::{A, Aaaa, Cname};

use super::{Query, read_name};
use crate::address::normalise;
use crate::name::Name;

/// Aliases that are followed; resolvers give up about there too.
const MAX_ALIASES: usize = 12;
/// Records that are looked at.
const MAX_RECORDS: usize = 4096;
const HEADER_BYTES: usize = 12;

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name that was asked for, then its aliases.
    pub names: Vec<Name>,
    /// Addresses of the kind that was asked for, each with its TTL in seconds: the smallest on the way.
    pub addresses: Vec<(IpAddr, u32)>,
    /// Cut, to be asked again over TCP.
    pub is_truncated: bool,
}

#[derive(Default)]
struct Records {
    aliases: HashMap<Name, (Name, u32)>,
    addresses: HashMap<Name, Vec<(IpAddr, u32)>>,
}

/// Reads the answer to `query`; nothing when it is another one's or malformed.
#[must_use]
pub fn read_answer(query: &Query, id: u16, bytes: &[u8]) -> Option<Answer> {
    let message = Message::from_slice(bytes).ok()?;
    let header = message.header();
    if !header.qr() || header.id() != id || !answers(query, message) {
        return None;
    }
    let records = read_records(message, query)?;
    let mut names = vec![query.name.clone()];
    let mut addresses = Vec::new();
    let mut ttl = u32::MAX;
    loop {
        let current = names.last()?;
        let here = records.addresses.get(current).into_iter().flatten();
        addresses.extend(here.map(|(address, own)| (*address, ttl.min(*own))));
        match records.aliases.get(current) {
            Some((next, own)) if names.len() <= MAX_ALIASES && !names.contains(next) => {
                ttl = ttl.min(*own);
                names.push(next.clone());
            }
            _ => break,
        }
    }
    Some(Answer {
        names,
        addresses,
        is_truncated: header.tc(),
    })
}

fn answers(query: &Query, message: &Message<[u8]>) -> bool {
    message.sole_question().is_ok_and(|question| {
        question.qclass() == Class::IN
            && question.qtype().to_int() == query.record_type
            && read_name(question.qname()).as_ref() == Some(&query.name)
    })
}

fn read_records(message: &Message<[u8]>, query: &Query) -> Option<Records> {
    let mut records = Records::default();
    for record in message.answer().ok()?.take(MAX_RECORDS) {
        let Ok(record) = record else {
            // A cut answer ends anywhere.
            return message.header().tc().then_some(records);
        };
        let is_alias = record.rtype() == Rtype::CNAME;
        let is_asked = record.rtype().to_int() == query.record_type;
        if record.class() == Class::IN && (is_alias || is_asked) {
            records.add(&record)?;
        }
    }
    Some(records)
}

impl Records {
    /// Names that no rule can speak of are left out.
    fn add(&mut self, record: &ParsedRecord<'_, [u8]>) -> Option<()> {
        let Some(owner) = read_name(&record.owner()) else {
            return Some(());
        };
        let ttl = record.ttl().as_secs();
        match record.rtype() {
            Rtype::CNAME => {
                let cname = record.to_record::<Cname<ParsedName<_>>>().ok()??;
                if let Some(target) = read_name(cname.data().cname()) {
                    self.aliases.entry(owner).or_insert((target, ttl));
                }
            }
            Rtype::A => {
                let address = record.to_record::<A>().ok()??.data().addr();
                self.add_address(owner, IpAddr::V4(address), ttl);
            }
            Rtype::AAAA => {
                let address = record.to_record::<Aaaa>().ok()??.data().addr();
                self.add_address(owner, IpAddr::V6(address), ttl);
            }
            _ => {}
        }
        Some(())
    }

    fn add_address(&mut self, owner: Name, address: IpAddr, ttl: u32) {
        let addresses = self.addresses.entry(owner).or_default();
        addresses.push((normalise(address), ttl));
    }
}

/// The message under another id.
#[must_use]
pub fn with_id(mut message: Vec<u8>, id: u16) -> Vec<u8> {
    if let Some(first) = message.first_chunk_mut::<2>() {
        *first = id.to_be_bytes();
    }
    message
}

/// The message as the reply to `query`, though it answers another spelling of its question.
#[must_use]
pub fn reply_to(query: &Query, message: &[u8]) -> Vec<u8> {
    let mut reply = with_id(message.to_vec(), query.id);
    let question = query.question();
    if let Some(place) = reply.get_mut(HEADER_BYTES..HEADER_BYTES + question.len())
        && place.eq_ignore_ascii_case(question)
    {
        place.copy_from_slice(question);
    }
    reply
}

/// An answer that fits into `query`'s UDP limit: as it is, or cut to its question, so that the program asks again
/// over TCP (RFC 2181 section 9).
#[must_use]
pub fn truncated(query: &Query, message: Vec<u8>) -> Vec<u8> {
    let Some(header) = message.get(..HEADER_BYTES) else {
        return message;
    };
    if message.len() <= usize::from(query.udp_bytes) {
        return message;
    }
    let flags = [header[2] | 0b10, header[3]];
    [
        &header[..2],
        &flags,
        &[0, 1, 0, 0, 0, 0, 0, 0],
        query.question(),
    ]
    .concat()
}
