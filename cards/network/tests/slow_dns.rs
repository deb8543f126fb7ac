//! A guest that asks for long answers and reads none of them.

mod rig;

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;

use cloister_egress_policy::wire::{Request, Status, frame, split_frame};
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, ToName};
use domain::rdata::Txt;
use rig::Card;
use serde_json::json;

/// As many as may wait on a stream.
const QUESTIONS: u16 = 64;

/// Answers everything over TCP alone, at length.
fn serve(udp: UdpSocket, tcp: TcpListener) {
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = udp.recv_from(&mut buffer) {
            buffer[2] |= 0x82; // an answer, and cut
            udp.send_to(&buffer[..count], from).unwrap();
        }
    });
    thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut buffer = [0; 512];
            let count = stream.read(&mut buffer).unwrap();
            let (query, _) = split_frame(&buffer[..count]).unwrap();
            stream
                .write_all(&frame(&long_answer(query)).unwrap())
                .unwrap();
        }
    });
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

fn question(id: u16) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    let mut question = builder.question();
    let name: domain::base::Name<Vec<u8>> = format!("n{id}.example").parse().unwrap();
    question.push((name, Rtype::TXT)).unwrap();
    frame(&question.finish()).unwrap()
}

fn ask_all(card: &Card) -> UnixStream {
    let (mut stream, status) = card.request(&Request::Dns);
    assert_eq!(status, Status::Ok);
    let questions: Vec<Vec<u8>> = (0..QUESTIONS).map(question).collect();
    stream.write_all(&questions.concat()).unwrap();
    stream
}

/// How many of the answers have what was asked for.
fn read_all(stream: &mut UnixStream) -> usize {
    let replies = (0..QUESTIONS).map(|_| {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).unwrap();
        Message::from_octets(message).unwrap().header().rcode()
    });
    replies.filter(|rcode| *rcode == Rcode::NOERROR).count()
}

#[test]
fn long_answers_that_a_guest_does_not_read_take_little_memory() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind(udp.local_addr().unwrap()).unwrap();
    let resolvers = [udp.local_addr().unwrap()];
    serve(udp, tcp);
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
