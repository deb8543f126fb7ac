//! DNS messages as programs and resolvers write them, and the many ways to write them wrongly.

use cloister_egress_policy::dns::{
    Query, Unanswered, error_reply, host_reply, read_answer, read_query, truncated, with_id,
};
use domain::base::iana::{Class, ExtendedErrorCode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{A, Aaaa, Cname, Txt};
use std::net::IpAddr;
use std::str::FromStr;

fn name(text: &str) -> Name<Vec<u8>> {
    Name::from_str(text).unwrap()
}

fn query(text: &str, record_type: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(7);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    question.push((name(text), record_type)).unwrap();
    question.finish()
}

fn read(text: &str) -> Query {
    read_query(&query(text, Rtype::A)).unwrap()
}

/// www is an alias of cdn, which has two addresses; other has one that nobody asked for.
fn response() -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(9);
    builder.header_mut().set_qr(true);
    let mut question = builder.question();
    question.push((name("WWW.example.com"), Rtype::A)).unwrap();
    let mut answer = question.answer();
    let alias = Cname::new(name("cdn.example.net"));
    answer.push((name("www.example.com"), 300, alias)).unwrap();
    for (owner, address) in [
        ("cdn.example.net", "192.0.2.1"),
        ("CDN.example.net", "192.0.2.2"),
        ("other.example", "192.0.2.3"),
    ] {
        let record = A::new(address.parse().unwrap());
        answer.push((name(owner), 60, record)).unwrap();
    }
    let mapped = Aaaa::new("::ffff:192.0.2.4".parse().unwrap());
    answer.push((name("cdn.example.net"), 900, mapped)).unwrap();
    let text = Txt::<Vec<u8>>::build_from_slice(b"x").unwrap();
    answer.push((name("cdn.example.net"), 60, text)).unwrap();
    answer.finish()
}

#[test]
fn an_answer_is_followed_by_its_aliases_to_addresses_with_the_shortest_ttl() {
    let answer = read_answer(&read("www.example.com"), 9, &response()).unwrap();
    let names: Vec<&str> = answer.names.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["www.example.com", "cdn.example.net"]);
    let ip = |text: &str| IpAddr::from_str(text).unwrap();
    assert_eq!(
        answer.addresses,
        [(ip("192.0.2.1"), 60), (ip("192.0.2.2"), 60)]
    );
}

#[test]
fn only_a_question_for_addresses_gives_addresses() {
    for (record_type, expected) in [(Rtype::TXT, 0), (Rtype::AAAA, 1), (Rtype::A, 2)] {
        let query = read_query(&query("www.example.com", record_type)).unwrap();
        let mut response = response();
        let at = 12 + "\x03www\x07example\x03com\0".len();
        response[at..at + 2].copy_from_slice(&query.record_type.to_be_bytes());
        let answer = read_answer(&query, 9, &response).unwrap();
        assert_eq!(answer.addresses.len(), expected, "{record_type}");
    }
}

#[test]
fn an_answer_to_something_else_is_none() {
    assert!(read_answer(&read("www.example.com"), 8, &response()).is_none());
    assert!(read_answer(&read("cdn.example.net"), 9, &response()).is_none());
    let other_type = read_query(&query("www.example.com", Rtype::AAAA)).unwrap();
    assert!(read_answer(&other_type, 9, &response()).is_none());
    let question = with_id(query("www.example.com", Rtype::A), 9);
    assert!(read_answer(&read("www.example.com"), 9, &question).is_none());
}

#[test]
fn a_cut_or_damaged_answer_gives_no_other_addresses() {
    let query = read("www.example.com");
    let whole = read_answer(&query, 9, &response()).unwrap();
    for cut in 0..response().len() {
        assert!(
            read_answer(&query, 9, &response()[..cut]).is_none(),
            "{cut}"
        );
    }
    for index in 0..response().len() {
        for bit in 0..8 {
            let mut damaged = response();
            damaged[index] ^= 1 << bit;
            if let Some(answer) = read_answer(&query, 9, &damaged) {
                assert!(answer.addresses.len() <= whole.addresses.len() + 1);
            }
        }
    }
}

#[test]
fn aliases_in_a_circle_end() {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_qr(true);
    let mut question = builder.question();
    question.push((name("a.b"), Rtype::A)).unwrap();
    let mut answer = question.answer();
    for (from, to) in [("a.b", "c.d"), ("c.d", "a.b")] {
        answer.push((name(from), 1, Cname::new(name(to)))).unwrap();
    }
    let answer = read_answer(&read("a.b"), 0, &answer.finish()).unwrap();
    assert_eq!((answer.names.len(), answer.addresses.len()), (2, 0));
}

#[test]
fn a_question_is_asked_anew_in_the_spelling_of_the_program() {
    let asked = read("wWw.Example.com").encode(77);
    let message = Message::from_slice(&asked).unwrap();
    assert_eq!(message.header().id(), 77);
    assert!(message.header().rd() && message.opt().is_none());
    let question = message.sole_question().unwrap();
    assert_eq!(question.qname().to_string(), "wWw.Example.com");
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((name("a.b"), Rtype::TXT)).unwrap();
    let mut additional = builder.additional();
    additional
        .opt(|opt| {
            opt.set_udp_payload_size(1232);
            opt.push_raw_option(65001.into(), 6, |target| {
                octseq::OctetsBuilder::append_slice(target, b"secret")
            })
        })
        .unwrap();
    let query = read_query(&additional.finish()).unwrap();
    assert_eq!(query.udp_bytes, 1232);
    let asked = query.encode(1);
    assert!(Message::from_slice(&asked).unwrap().opt().is_some());
    assert!(!asked.windows(6).any(|window| window == b"secret"));
}

#[test]
fn a_denied_name_does_not_exist_and_who_knows_extended_errors_hears_why() {
    let reply = error_reply(&query("a.b", Rtype::A), Unanswered::Denied).unwrap();
    let reply = Message::from_slice(&reply).unwrap();
    assert_eq!(reply.header().rcode(), Rcode::NXDOMAIN);
    assert!(reply.opt().is_none());
    let mut extended = MessageBuilder::new_vec().question();
    extended.push((name("a.b"), Rtype::A)).unwrap();
    let mut extended = extended.additional();
    extended.opt(|_| Ok(())).unwrap();
    let reply = error_reply(&extended.finish(), Unanswered::Denied).unwrap();
    let reply = Message::from_slice(&reply).unwrap();
    assert_eq!(reply.header().rcode(), Rcode::NXDOMAIN);
    let opt = reply.opt().unwrap();
    let error = opt.opt().extended_error().unwrap();
    assert_eq!(error.code(), ExtendedErrorCode::PROHIBITED);
    let text = error.text().unwrap().unwrap();
    assert_eq!(&**text, "no egress rule allows this name");
}

#[test]
fn what_is_no_question_gets_the_answer_that_it_deserves() {
    let mut two = MessageBuilder::new_vec().question();
    two.push((name("a.b"), Rtype::A)).unwrap();
    two.push((name("a.b"), Rtype::A)).unwrap();
    let mut chaos = MessageBuilder::new_vec().question();
    chaos.push((name("a.b"), Rtype::TXT, Class::CH)).unwrap();
    let mut update = query("a.b", Rtype::A);
    update[2] |= 5 << 3;
    let cases = [
        (two.finish(), Unanswered::Malformed, Rcode::FORMERR),
        (chaos.finish(), Unanswered::Refused, Rcode::REFUSED),
        (update, Unanswered::NotImplemented, Rcode::NOTIMP),
        (
            query("a.b", Rtype::ANY),
            Unanswered::Refused,
            Rcode::REFUSED,
        ),
        (
            query("a.b", Rtype::AXFR),
            Unanswered::Refused,
            Rcode::REFUSED,
        ),
        (query(".", Rtype::NS), Unanswered::Refused, Rcode::REFUSED),
        (
            query("a\\.b.c", Rtype::A),
            Unanswered::Refused,
            Rcode::REFUSED,
        ),
        (
            query("a.b", Rtype::HTTPS),
            Unanswered::NoData,
            Rcode::NOERROR,
        ),
    ];
    for (bytes, expected, code) in cases {
        assert_eq!(read_query(&bytes), Err(expected));
        let reply = error_reply(&bytes, expected).unwrap();
        let reply = Message::from_slice(&reply).unwrap();
        assert_eq!(reply.header().rcode(), code);
        assert!(reply.header().qr());
    }
    let answer = response();
    assert_eq!(read_query(&answer), Err(Unanswered::Dropped));
    assert_eq!(error_reply(&answer, Unanswered::Refused), None);
    assert_eq!(read_query(&answer[..11]), Err(Unanswered::Dropped));
}

#[test]
fn every_cut_of_a_question_is_refused() {
    let whole = query("www.example.com", Rtype::A);
    for cut in 0..whole.len() {
        assert!(read_query(&whole[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn the_host_s_name_is_answered_here() {
    let asked = read("host.cloister.internal");
    let reply = host_reply(&asked).unwrap();
    let answer = read_answer(&asked, 7, &reply).unwrap();
    assert_eq!(answer.addresses, [("198.18.0.1".parse().unwrap(), 60)]);
    let six = read_query(&query("host.cloister.internal", Rtype::AAAA)).unwrap();
    let answer = read_answer(&six, 7, &host_reply(&six).unwrap()).unwrap();
    assert_eq!(answer.addresses, []);
    assert_eq!(host_reply(&read("a.b")), None);
}

#[test]
fn an_answer_that_does_not_fit_is_cut_to_its_question() {
    let query = read("www.example.com");
    assert_eq!(truncated(&query, response()), response());
    let long = [response(), vec![0; 600]].concat();
    let cut = truncated(&query, long);
    let message = Message::from_slice(&cut).unwrap();
    assert!(message.header().tc() && message.header().qr());
    assert_eq!(message.header_counts().ancount(), 0);
    assert!(message.sole_question().is_ok());
}
