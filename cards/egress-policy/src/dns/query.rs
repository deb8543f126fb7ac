//! A program's question: read strictly, asked anew in the host part's own words, or answered here.

use domain::base::iana::{Class, ExtendedErrorCode, Opcode, Rcode, Rtype};
use domain::base::message_builder::AdditionalBuilder;
use domain::base::{Message, MessageBuilder, Question};
use domain::rdata::A;
use octseq::Str;

use super::{MIN_UDP_BYTES, OWN_UDP_BYTES, read_name};
use crate::name::Name;
use crate::{HOST_ADDRESS, HOST_NAME};

/// Programs ask for the host's address rarely, and it never changes.
const HOST_TTL_SECONDS: u32 = 60;
const DENIED: &str = "no egress rule allows this name";

/// A question that may be asked, when the policy allows its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub id: u16,
    pub name: Name,
    pub record_type: u16,
    /// How long an answer over UDP may be.
    pub udp_bytes: u16,
    has_edns: bool,
    dnssec_ok: bool,
    is_recursive: bool,
    is_checking_disabled: bool,
    /// The question as the program spelt it: some compare the answer's letter for letter.
    question: Vec<u8>,
}

/// What becomes of a message that is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Too short for an answer, or an answer itself.
    Dropped,
    Malformed,
    NotImplemented,
    /// Not a question that is answered here, whatever its name.
    Refused,
    /// The rules deny the name.
    Denied,
    ServerFailed,
    /// No records of that type.
    NoData,
}

impl Unanswered {
    /// A name that is denied does not exist for the guest: musl's resolver asks again for five seconds after REFUSED, and
    /// no resolver goes on with the next domain of its search list.
    fn code(self) -> Rcode {
        match self {
            Self::Malformed => Rcode::FORMERR,
            Self::NotImplemented => Rcode::NOTIMP,
            Self::Dropped | Self::Refused => Rcode::REFUSED,
            Self::Denied => Rcode::NXDOMAIN,
            Self::ServerFailed => Rcode::SERVFAIL,
            Self::NoData => Rcode::NOERROR,
        }
    }
}

/// Reads a program's question.
///
/// # Errors
/// What to answer instead, with [`error_reply`].
pub fn read_query(bytes: &[u8]) -> Result<Query, Unanswered> {
    let message = Message::from_slice(bytes).map_err(|_| Unanswered::Dropped)?;
    let header = message.header();
    if header.qr() {
        return Err(Unanswered::Dropped);
    }
    if header.opcode() != Opcode::QUERY {
        return Err(Unanswered::NotImplemented);
    }
    let question = message.sole_question().map_err(|_| Unanswered::Malformed)?;
    if question.qclass() != Class::IN || !is_asked(question.qtype()) {
        return Err(Unanswered::Refused);
    }
    let name = read_name(question.qname()).ok_or(Unanswered::Refused)?;
    // They carry addresses of their own; a program then asks for A and AAAA.
    if matches!(question.qtype(), Rtype::SVCB | Rtype::HTTPS) {
        return Err(Unanswered::NoData);
    }
    let edns = message.opt();
    Ok(Query {
        id: header.id(),
        name,
        record_type: question.qtype().to_int(),
        udp_bytes: edns.as_ref().map_or(MIN_UDP_BYTES, |opt| {
            opt.udp_payload_size().max(MIN_UDP_BYTES)
        }),
        has_edns: edns.is_some(),
        dnssec_ok: edns.is_some_and(|opt| opt.dnssec_ok()),
        is_recursive: header.rd(),
        is_checking_disabled: header.cd(),
        question: compose_question(&question),
    })
}

/// Types that ask for records; not transfers, not everything at once.
fn is_asked(record_type: Rtype) -> bool {
    let number = record_type.to_int();
    let is_meta = (128..=255).contains(&number) || record_type == Rtype::OPT || number == 0;
    !is_meta
}

fn compose_question<N: domain::base::ToName>(question: &Question<N>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = question.compose(&mut bytes);
    bytes
}

impl Query {
    /// Whether one answer serves both: the same name, type and flags, however they spell the name.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let flags = |it: &Self| {
            [
                it.has_edns,
                it.dnssec_ok,
                it.is_recursive,
                it.is_checking_disabled,
            ]
        };
        self.name == other.name
            && self.record_type == other.record_type
            && flags(self) == flags(other)
    }

    /// The question as the host part asks it: nothing of the program's message but the question and its flags.
    #[must_use]
    pub fn encode(&self, id: u16) -> Vec<u8> {
        let mut builder = MessageBuilder::new_vec();
        let header = builder.header_mut();
        header.set_id(id);
        header.set_rd(self.is_recursive);
        header.set_cd(self.is_checking_disabled);
        let mut question = builder.question();
        if let Some(asked) = self.parsed_question() {
            let _ = question.push(asked);
        }
        let mut additional = question.additional();
        if self.has_edns {
            self.push_edns(&mut additional);
        }
        additional.finish()
    }

    fn parsed_question(&self) -> Option<Question<domain::base::ParsedName<&[u8]>>> {
        let mut parser = octseq::Parser::from_ref(&self.question[..]);
        Question::parse(&mut parser).ok()
    }

    fn push_edns(&self, additional: &mut AdditionalBuilder<Vec<u8>>) {
        let _ = additional.opt(|opt| {
            opt.set_udp_payload_size(OWN_UDP_BYTES);
            opt.set_dnssec_ok(self.dnssec_ok);
            Ok(())
        });
    }

    /// The question section, uncompressed.
    pub(super) fn question(&self) -> &[u8] {
        &self.question
    }
}

/// A reply without records to whatever was asked in `query`; nothing for a message that gets none. With EDNS, a denied
/// name is told from one that does not exist by an extended error (RFC 8914, section 4.19, Prohibited).
#[must_use]
pub fn error_reply(query: &[u8], unanswered: Unanswered) -> Option<Vec<u8>> {
    let message = Message::from_slice(query).ok()?;
    if unanswered == Unanswered::Dropped || message.header().qr() {
        return None;
    }
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(message.header().id());
    header.set_qr(true);
    header.set_ra(true);
    header.set_opcode(message.header().opcode());
    header.set_rd(message.header().rd());
    header.set_rcode(unanswered.code());
    let mut question = builder.question();
    if let Ok(asked) = message.sole_question() {
        let _ = question.push(asked);
    }
    let mut additional = question.additional();
    if unanswered == Unanswered::Denied && message.opt().is_some() {
        let _ = additional.opt(|opt| {
            opt.set_udp_payload_size(OWN_UDP_BYTES);
            let text = Str::from_string(DENIED.to_owned());
            // It is short enough.
            let _ = opt.extended_error(ExtendedErrorCode::PROHIBITED, Some(&text));
            Ok(())
        });
    }
    Some(additional.finish())
}

/// The answer to a question about the host itself ([`HOST_NAME`]), which is not asked outside; nothing for
/// another name.
#[must_use]
pub fn host_reply(query: &Query) -> Option<Vec<u8>> {
    if query.name.as_str() != HOST_NAME {
        return None;
    }
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(query.id);
    header.set_qr(true);
    header.set_ra(true);
    header.set_aa(true);
    header.set_rd(query.is_recursive);
    let mut question = builder.question();
    let asked = query.parsed_question()?;
    let _ = question.push(asked);
    let mut answer = question.answer();
    if query.record_type == Rtype::A.to_int() {
        let record = (
            asked.qname(),
            Class::IN,
            HOST_TTL_SECONDS,
            A::new(HOST_ADDRESS),
        );
        let _ = answer.push(record);
    }
    let mut additional = answer.additional();
    if query.has_edns {
        query.push_edns(&mut additional);
    }
    Some(additional.finish())
}
