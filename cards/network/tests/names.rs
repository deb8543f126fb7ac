//! Names: questions of a guest through a card as it runs, to a resolver on the loopback, and the flows that answers
//! allow.

mod rig;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::{Request, Status, frame};
use domain::base::Message;
use domain::base::iana::{Rcode, Rtype};
use rig::names::{answer, ask, dns, query, read, resolver};
use rig::{Card, flow, ip, loopback, patient, unserved_datagrams};
use serde_json::json;

#[test]
fn a_stream_that_announces_more_than_a_question_is_closed() {
    let card = Card::start(loopback());
    for announced in [4097, u16::MAX] {
        let (mut stream, status) = card.request(&Request::Dns);
        assert_eq!(status, Status::Ok);
        stream.write_all(&announced.to_be_bytes()).unwrap();
        assert!(rig::is_at_end(&mut stream));
    }
}

fn card(policy: serde_json::Value, resolvers: &[SocketAddr]) -> Card {
    Card::start_with(json!({ "image": policy, "resolvers": resolvers, "maxFlows": 16 }))
}

#[test]
fn a_rule_by_name_holds_for_the_addresses_that_the_name_gave() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let resolver = resolver(Some("cdn.example.net"), vec![Ipv4Addr::new(10, 9, 8, 7)]);
    let card = card(
        json!({ "allow": [{ "host": "*.example.com", "ports": [port], "private": true }] }),
        &[resolver.address],
    );
    let claim = |name: &str, address: &str| {
        let address = SocketAddr::new(ip(address), port);
        card.request(&flow(Protocol::Udp, address, Some(name))).1
    };
    // A claim alone counts nothing.
    assert_eq!(claim("www.example.com", "10.9.8.7"), Status::DeniedByImage);
    let mut stream = dns(&card);
    assert_eq!(ask(&mut stream, "WWW.example.com"), (Rcode::NOERROR, 2));
    assert_eq!(claim("www.example.com", "10.9.8.7"), Status::Ok);
    assert_eq!(claim("www.example.com", "10.9.8.8"), Status::DeniedByImage);
    assert_eq!(claim("api.example.com", "10.9.8.7"), Status::DeniedByImage);
    assert_eq!(claim("cdn.example.net", "10.9.8.7"), Status::DeniedByImage);
}

#[test]
fn a_name_that_turns_to_the_host_is_denied() {
    for address in ["127.0.0.1", "169.254.169.254", "198.18.0.1", "10.0.0.1"] {
        let resolver = resolver(None, vec![address.parse().unwrap()]);
        let private = address != "10.0.0.1";
        let card = card(
            json!({ "allow": [{ "host": "**", "private": private }] }),
            &[resolver.address],
        );
        assert_eq!(ask(&mut dns(&card), "rebind.example"), (Rcode::NOERROR, 1));
        let target = SocketAddr::new(ip(address), 80);
        let claim = flow(Protocol::Tcp, target, Some("rebind.example"));
        assert_eq!(card.request(&claim).1, Status::DeniedByImage, "{address}");
    }
}

#[test]
fn a_name_that_no_rule_allows_is_refused_and_asked_of_nobody() {
    let resolver = resolver(None, vec![Ipv4Addr::LOCALHOST]);
    let mut card = card(
        json!({ "allow": [{ "host": "*.example.com" }, { "cidr": "0.0.0.0/0" }],
                "deny": [{ "host": "bad.example.com" }] }),
        &[resolver.address],
    );
    let mut stream = dns(&card);
    for name in ["secret.attacker.example", "bad.example.com", "example.com"] {
        assert_eq!(ask(&mut stream, name), (Rcode::NXDOMAIN, 0));
    }
    assert_eq!(ask(&mut stream, "good.example.com").0, Rcode::NOERROR);
    let asked: Vec<String> = resolver.asked.try_iter().collect();
    assert_eq!(asked, ["good.example.com"]);
    let refused = &card.news()["refused"];
    assert_eq!(refused["destination"], "secret.attacker.example");
    assert_eq!(refused["wouldAllow"], "{ host: secret.attacker.example }");
}

#[test]
fn a_long_answer_comes_over_tcp() {
    let addresses: Vec<Ipv4Addr> = (1..=200).map(|last| Ipv4Addr::new(9, 9, 9, last)).collect();
    let resolver = resolver(None, addresses);
    let card = card(json!({ "allow": [{ "host": "**" }] }), &[resolver.address]);
    assert_eq!(ask(&mut dns(&card), "many.example"), (Rcode::NOERROR, 200));
    let last = flow(
        Protocol::Udp,
        "9.9.9.200:9".parse().unwrap(),
        Some("many.example"),
    );
    assert_ne!(card.request(&last).1, Status::DeniedByImage);
}

#[test]
fn the_next_resolver_is_asked_where_one_is_dead_or_lies() {
    let (_dead, dead_address) = unserved_datagrams();
    // Its answers are to other questions, under other ids.
    let liar = UdpSocket::bind("127.0.0.1:0").unwrap();
    let liar_address = liar.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = liar.recv_from(&mut buffer) {
            let (sender, _) = channel();
            let mut forged = answer(
                &buffer[..count],
                None,
                &[Ipv4Addr::new(6, 6, 6, 6)],
                &sender,
            );
            forged[1] ^= 1;
            liar.send_to(&forged, from).unwrap();
        }
    });
    let good = resolver(None, vec![Ipv4Addr::new(9, 9, 9, 9)]);
    let card = card(
        json!({ "allow": [{ "host": "**" }] }),
        &[dead_address, liar_address, good.address],
    );
    assert_eq!(ask(&mut dns(&card), "a.example"), (Rcode::NOERROR, 1));
    let forged = flow(
        Protocol::Udp,
        "6.6.6.6:9".parse().unwrap(),
        Some("a.example"),
    );
    assert_eq!(card.request(&forged).1, Status::DeniedByImage);
}

#[test]
fn without_a_resolver_a_question_fails_at_once_and_new_resolvers_are_taken() {
    let mut card = card(json!({ "allow": [{ "host": "**" }] }), &[]);
    let mut stream = dns(&card);
    assert_eq!(ask(&mut stream, "a.example").0, Rcode::SERVFAIL);
    let resolver = resolver(None, vec![Ipv4Addr::new(9, 9, 9, 9)]);
    card.ask(json!({ "id": 2, "request": "setResolvers", "resolvers": [resolver.address] }));
    assert_eq!(card.news()["id"], 2);
    assert_eq!(ask(&mut stream, "a.example"), (Rcode::NOERROR, 1));
    let host = ask(&mut stream, "host.cloister.internal");
    assert_eq!(host, (Rcode::NOERROR, 1));
}

#[test]
fn many_questions_at_once_are_all_answered_by_their_ids() {
    let resolver = resolver(None, vec![Ipv4Addr::new(9, 9, 9, 9)]);
    let card = card(json!({ "allow": [{ "host": "**" }] }), &[resolver.address]);
    let mut stream = dns(&card);
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        for id in 0..1000_u16 {
            let question = query(id, &format!("n{id}.example"), Rtype::A);
            writer.write_all(&frame(&question).unwrap()).unwrap();
        }
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut ids: Vec<u16> = (0..1000)
        .map(|_| {
            let reply = read(&mut stream);
            let reply = Message::from_slice(&reply).unwrap();
            let name = reply.sole_question().unwrap().qname().to_string();
            assert_eq!(name, format!("n{}.example", reply.header().id()));
            reply.header().id()
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..1000).collect::<Vec<u16>>());
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    writing.join().unwrap();
}

#[test]
fn one_question_is_asked_for_all_who_ask_it_and_each_gets_the_answer_in_its_own_spelling() {
    let server = patient(UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut card = card(
        json!({ "allow": [{ "host": "**" }] }),
        &[server.local_addr().unwrap()],
    );
    let mut stream = dns(&card);
    let spelling = |id: u16| {
        if id.is_multiple_of(2) {
            "A.example"
        } else {
            "a.EXAMPLE"
        }
    };
    for id in 0..50 {
        let question = query(id, spelling(id), Rtype::A);
        stream.write_all(&frame(&question).unwrap()).unwrap();
    }
    let last = query(50, "last.example", Rtype::A);
    stream.write_all(&frame(&last).unwrap()).unwrap();
    let (sender, asked) = channel();
    for _ in 0..2 {
        let mut buffer = [0; 512];
        let (count, from) = server.recv_from(&mut buffer).unwrap();
        let reply = answer(
            &buffer[..count],
            None,
            &[Ipv4Addr::new(9, 9, 9, 9)],
            &sender,
        );
        server.send_to(&reply, from).unwrap();
    }
    assert_eq!(
        asked.try_iter().collect::<Vec<_>>(),
        ["A.example", "last.example"]
    );
    let mut ids: Vec<u16> = (0..51)
        .map(|_| {
            let reply = read(&mut stream);
            let reply = Message::from_slice(&reply).unwrap();
            let (id, name) = (reply.header().id(), reply.sole_question().unwrap());
            let expected = if id == 50 {
                "last.example"
            } else {
                spelling(id)
            };
            assert_eq!(name.qname().to_string(), expected);
            assert_eq!(reply.header_counts().ancount(), 1);
            id
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..51).collect::<Vec<u16>>());
    assert_eq!(card.status()["counters"]["lookups"], 2);
}

#[test]
fn what_is_no_question_is_answered_as_that_or_not_at_all() {
    let mut card = card(loopback(), &[]);
    let mut stream = dns(&card);
    let mut two = query(1, "a.b", Rtype::A);
    two[5] = 2;
    for message in [&[][..], &[1, 2, 3], &two] {
        stream.write_all(&frame(message).unwrap()).unwrap();
    }
    let reply = read(&mut stream);
    let reply = Message::from_slice(&reply).unwrap();
    assert_eq!(reply.header().rcode(), Rcode::FORMERR);
    stream.write_all(&[0xff, 0xff, 1]).unwrap();
    drop(stream);
    card.until_idle();
}

#[test]
fn a_cut_answer_is_asked_again_where_it_came_from_though_the_resolvers_have_gone() {
    let server = patient(UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut card = card(
        json!({ "allow": [{ "host": "**" }] }),
        &[server.local_addr().unwrap()],
    );
    let mut stream = dns(&card);
    stream
        .write_all(&frame(&query(7, "a.example", Rtype::A)).unwrap())
        .unwrap();
    let mut buffer = [0; 512];
    let (count, from) = server.recv_from(&mut buffer).unwrap();
    card.ask(json!({ "id": 2, "request": "setResolvers", "resolvers": [] }));
    assert_eq!(card.news()["id"], 2);
    buffer[2] |= 0x82;
    server.send_to(&buffer[..count], from).unwrap();
    let reply = read(&mut stream);
    let reply = Message::from_slice(&reply).unwrap();
    assert_eq!(reply.header().rcode(), Rcode::SERVFAIL);
    assert_eq!(card.status()["flows"], 1);
}

/// Says so when it is dropped, also by a test that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_resolver_that_floods_holds_up_nothing_else() {
    let server = patient(UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut card = card(
        json!({ "allow": [{ "host": "**" }] }),
        &[server.local_addr().unwrap()],
    );
    let mut stream = dns(&card);
    stream
        .write_all(&frame(&query(7, "a.example", Rtype::A)).unwrap())
        .unwrap();
    let (_, from) = server.recv_from(&mut [0; 512]).unwrap();
    let is_over = AtomicBool::new(false);
    let over = Over(&is_over);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _ = server.send_to(b"x", from);
                let _ = server.send_to(b"", from);
            }
        });
        let _over = over;
        for _ in 0..100 {
            card.status();
        }
        let reply = read(&mut stream);
        let reply = Message::from_slice(&reply).unwrap();
        assert_eq!(reply.header().rcode(), Rcode::SERVFAIL);
    });
}
