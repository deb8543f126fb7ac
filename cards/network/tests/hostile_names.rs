//! A guest that asks for long answers and reads none of them, and a name that has ever new addresses.

mod rig;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::{Request, Status, frame};
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, ToName};
use domain::rdata::{A, Txt};
use rig::names::{serve_tcp, sockets};
use rig::{Card, flow};
use serde_json::json;

/// As many as may wait on a stream.
const QUESTIONS: u16 = 64;

/// Answers everything over TCP alone.
fn serve(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let (udp, tcp) = sockets();
    let address = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = udp.recv_from(&mut buffer) {
            buffer[2] |= 0x82; // an answer, and cut
            udp.send_to(&buffer[..count], from).unwrap();
        }
    });
    serve_tcp(tcp, answer);
    address
}

fn long_answer(query: &[u8]) -> Vec<u8> {
    let query = Message::from_slice(query).unwrap();
    let name = query.sole_question().unwrap().qname().to_name::<Vec<u8>>();
    let mut builder = MessageBuilder::new_vec()
        .start_answer(query, Rcode::NOERROR)
        .unwrap();
    let text = Txt::<Vec<u8>>::build_from_slice(&[b'x'; 60_000]).unwrap();
    builder.push((name, 0, text)).unwrap();
    builder.finish()
}

fn question(id: u16, name: &str, record_type: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    let mut question = builder.question();
    let name: Name<Vec<u8>> = name.parse().unwrap();
    question.push((name, record_type)).unwrap();
    frame(&question.finish()).unwrap()
}

fn ask_all(card: &Card) -> UnixStream {
    let (mut stream, status) = card.request(&Request::Dns);
    assert_eq!(status, Status::Ok);
    let texts = |id| question(id, &format!("n{id}.example"), Rtype::TXT);
    let questions: Vec<Vec<u8>> = (0..QUESTIONS).map(texts).collect();
    stream.write_all(&questions.concat()).unwrap();
    stream
}

/// How many of the answers have what was asked for.
fn read_all(stream: &mut UnixStream) -> usize {
    let replies = (0..QUESTIONS).map(|_| read(stream).header().rcode());
    replies.filter(|rcode| *rcode == Rcode::NOERROR).count()
}

fn read(stream: &mut UnixStream) -> Message<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    Message::from_octets(message).unwrap()
}

#[test]
fn long_answers_that_a_guest_does_not_read_take_little_memory() {
    let resolvers = [serve(long_answer)];
    let card = Card::start_with(json!({
        "image": { "allow": [{ "host": "**" }] }, "resolvers": resolvers, "maxFlows": 64
    }));
    let mut silent: Vec<UnixStream> = (0..40).map(|_| ask_all(&card)).collect();
    // It asks last, so those before have their answers when it has its own.
    assert!(read_all(&mut ask_all(&card)) > 0);
    let mebibytes = card.resident_bytes() >> 20;
    assert!(mebibytes < 40, "{mebibytes} MiB");
    for stream in &mut silent {
        assert!((1..usize::from(QUESTIONS)).contains(&read_all(stream)));
    }
}

/// Of `good.example` the same address always, of another name 2000 new ones that are to be kept for long.
fn addresses(query: &[u8], asked: &AtomicU32) -> Vec<u8> {
    let query = Message::from_slice(query).unwrap();
    let name = query.sole_question().unwrap().qname().to_name::<Vec<u8>>();
    let mut builder = MessageBuilder::new_vec()
        .start_answer(query, Rcode::NOERROR)
        .unwrap();
    let (first, count, ttl) = match name.to_string().as_str() {
        "good.example" => (0x0808_0808, 1, 0),
        _ => (
            0x0900_0000 + 2000 * asked.fetch_add(1, Ordering::Relaxed),
            2000,
            86_400,
        ),
    };
    for number in first..first + count {
        builder
            .push((&name, ttl, A::new(Ipv4Addr::from(number))))
            .unwrap();
    }
    builder.finish()
}

#[test]
fn a_name_with_ever_new_addresses_leaves_other_names_theirs() {
    let asked = AtomicU32::new(0);
    let resolvers = [serve(move |query| addresses(query, &asked))];
    let card = Card::start_with(json!({
        "image": { "allow": [{ "host": "*.example" }] }, "resolvers": resolvers, "maxFlows": 64
    }));
    let (mut stream, _) = card.request(&Request::Dns);
    for name in ["good.example"].into_iter().chain(["evil.example"; 6]) {
        stream.write_all(&question(1, name, Rtype::A)).unwrap();
        assert_eq!(read(&mut stream).header().rcode(), Rcode::NOERROR);
    }
    let address = "8.8.8.8:9".parse().unwrap();
    let claim = flow(Protocol::Udp, address, Some("good.example"));
    assert_ne!(card.request(&claim).1, Status::DeniedByImage);
}
