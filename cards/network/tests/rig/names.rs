//! A guest's questions for names, and the resolver of the host that answers them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use cloister_egress_policy::wire::{Request, Status, frame, split_frame};
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{A, Cname};

use super::Card;

/// A resolver that answers any name with these addresses, over UDP only where they fit, and says what it was asked.
pub struct Resolver {
    pub address: SocketAddr,
    pub asked: Receiver<String>,
}

/// Both of one port. A port that is free for UDP may be taken for TCP.
pub fn sockets() -> (UdpSocket, TcpListener) {
    let pair = |_| {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
        Some((udp, tcp))
    };
    (0..100)
        .find_map(pair)
        .expect("a port that is free for both")
}

pub fn resolver(alias: Option<&'static str>, addresses: Vec<Ipv4Addr>) -> Resolver {
    let (udp, tcp) = sockets();
    let address = udp.local_addr().unwrap();
    let (sender, asked) = channel();
    let (over_tcp, all) = (sender.clone(), addresses.clone());
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((count, from)) = udp.recv_from(&mut buffer) {
            let mut reply = answer(&buffer[..count], alias, &addresses, &sender);
            if reply.len() > 512 {
                reply = answer(&buffer[..count], alias, &[], &sender);
                reply[2] |= 2;
            }
            udp.send_to(&reply, from).unwrap();
        }
    });
    serve_tcp(tcp, move |query| answer(query, alias, &all, &over_tcp));
    Resolver { address, asked }
}

/// Answers a question on each connection. A card that has given up the question hangs up.
pub fn serve_tcp(tcp: TcpListener, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
    let reply = move |mut stream: TcpStream| -> io::Result<()> {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer)?;
        let (query, _) = split_frame(&buffer[..count]).ok_or(io::ErrorKind::UnexpectedEof)?;
        stream.write_all(&frame(&answer(query)).unwrap())
    };
    thread::spawn(move || {
        while let Ok((stream, _)) = tcp.accept() {
            let _ = reply(stream);
        }
    });
}

pub fn answer(
    query: &[u8],
    alias: Option<&str>,
    addresses: &[Ipv4Addr],
    asked: &Sender<String>,
) -> Vec<u8> {
    let query = Message::from_slice(query).unwrap();
    let question = query.sole_question().unwrap();
    let _ = asked.send(question.qname().to_string());
    let mut builder = MessageBuilder::new_vec()
        .start_answer(query, Rcode::NOERROR)
        .unwrap();
    let mut owner = Name::<Vec<u8>>::from_str(&question.qname().to_string()).unwrap();
    if let Some(alias) = alias {
        let target = Name::<Vec<u8>>::from_str(alias).unwrap();
        builder.push((&owner, 30, Cname::new(&target))).unwrap();
        owner = target;
    }
    for address in addresses {
        builder.push((&owner, 0, A::new(*address))).unwrap();
    }
    builder.finish()
}

pub fn query(id: u16, name: &str, record_type: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    let name = Name::<Vec<u8>>::from_str(name).unwrap();
    question.push((name, record_type)).unwrap();
    question.finish()
}

pub fn dns(card: &Card) -> UnixStream {
    let (stream, status) = card.request(&Request::Dns);
    assert_eq!(status, Status::Ok);
    stream
}

pub fn read(stream: &mut UnixStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

pub fn ask(stream: &mut UnixStream, name: &str) -> (Rcode, u16) {
    stream
        .write_all(&frame(&query(7, name, Rtype::A)).unwrap())
        .unwrap();
    let reply = read(stream);
    let reply = Message::from_slice(&reply).unwrap();
    assert_eq!(reply.header().id(), 7);
    (reply.header().rcode(), reply.header_counts().ancount())
}
