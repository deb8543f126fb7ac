//! Clients of published ports, through a card as it runs, to a guest that is played here.

mod rig;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::{Status, frame};
use cloister_ingress_wire::{ARRIVAL_BYTES, Arrival};
use rig::{Card, inherited, is_at_end, patient, pattern, until};
use rustix::net::{SendFlags, send, sockopt};
use serde_json::{Value, json};
use tempfile::TempDir;

const GUEST_PORT: u16 = 80;

/// A card with a published port, and the vsock card's socket, where the guest is.
struct Published {
    card: Card,
    guest: UnixListener,
    /// Of the first port.
    address: SocketAddr,
    addresses: Vec<SocketAddr>,
    /// As the keeper has them.
    _sockets: Vec<OwnedFd>,
}

impl Published {
    fn start(protocol: &str, max_flows: usize) -> Self {
        Self::start_all(&[protocol], max_flows)
    }

    fn start_all(protocols: &[&str], max_flows: usize) -> Self {
        let directory = TempDir::new().unwrap();
        let guest = patient(UnixListener::bind(directory.path().join("vsock.sock")).unwrap());
        let bound = protocols.iter().map(|protocol| bind(protocol));
        let (sockets, addresses): (Vec<OwnedFd>, Vec<SocketAddr>) = bound.unzip();
        let published: Vec<Value> = sockets
            .iter()
            .zip(protocols)
            .map(|(socket, protocol)| {
                inherited(&Fd(socket));
                json!({ "fd": socket.as_raw_fd(), "protocol": protocol, "guestPort": GUEST_PORT })
            })
            .collect();
        let setup = json!({
            "image": { "allow": [], "deny": [] }, "resolvers": [], "maxFlows": max_flows,
            "published": published
        });
        Self {
            card: Card::start_in(directory, setup),
            guest,
            address: addresses[0],
            addresses,
            _sockets: sockets,
        }
    }

    fn client(&self) -> TcpStream {
        patient(TcpStream::connect(self.address).unwrap())
    }

    /// Whether the next client is reset, which may happen before the kernel says that it is connected.
    fn turns_away(&self) -> bool {
        match TcpStream::connect(self.address) {
            Ok(client) => is_reset(&mut patient(client)),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// The guest's next stream, before it has answered, and who is there.
    fn knock(&self) -> (UnixStream, Arrival) {
        let (stream, _) = self.guest.accept().expect("a stream to the guest");
        let mut stream = patient(stream);
        let mut line = [0; 13];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"CONNECT 9004\n");
        stream.write_all(b"OK 1073741824\n").unwrap();
        let mut bytes = [0; ARRIVAL_BYTES];
        stream.read_exact(&mut bytes).unwrap();
        (stream, Arrival::decode(&bytes).unwrap())
    }

    /// A client that the guest has taken, and the guest's end.
    fn taken(&self) -> (TcpStream, UnixStream) {
        let client = self.client();
        let (mut guest, _) = self.knock();
        guest.write_all(&[Status::Ok.to_byte()]).unwrap();
        (client, guest)
    }

    fn arrivals(&mut self) -> Value {
        self.card.status()["arrivals"].clone()
    }
}

fn bind(protocol: &str) -> (OwnedFd, SocketAddr) {
    if protocol == "tcp" {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        return (listener.into(), address);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket.into(), address)
}

struct Fd<'a>(&'a OwnedFd);

impl AsFd for Fd<'_> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Fd<'_> {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

fn is_reset(client: &mut TcpStream) -> bool {
    let end = client.read(&mut [0; 1]);
    matches!(end, Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn the_guest_hears_who_came_where_and_each_way_ends_by_itself() {
    let mut published = Published::start("tcp", 8);
    let mut client = published.client();
    let (mut guest, arrival) = published.knock();
    assert_eq!(
        arrival,
        Arrival {
            protocol: Protocol::Tcp,
            port: GUEST_PORT,
            client: client.local_addr().unwrap(),
            server: published.address,
        }
    );
    client.write_all(b"early").unwrap();
    guest.write_all(b"\0and at once").unwrap();
    guest.read_exact(&mut [0; 5]).unwrap();
    client.read_exact(&mut [0; 11]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(is_at_end(&mut guest));
    guest.write_all(b"late").unwrap();
    drop(guest);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"late");
    let arrivals = published.arrivals();
    assert_eq!(arrivals["counters"]["tcp"], 1);
    assert_eq!(arrivals["counters"]["bytesToGuest"], 5);
    assert_eq!(arrivals["counters"]["bytesFromGuest"], 15);
    assert_eq!(arrivals["open"], 0);
}

#[test]
fn an_urgent_byte_of_a_client_comes_in_its_place() {
    let published = Published::start("tcp", 8);
    for is_early in [true, false] {
        let client = published.client();
        let say = || {
            send(&client, b"before", SendFlags::empty()).unwrap();
            send(&client, b"!", SendFlags::OOB).unwrap();
            send(&client, b"after", SendFlags::empty()).unwrap();
        };
        if is_early {
            say();
        }
        let (mut guest, _) = published.knock();
        guest.write_all(&[Status::Ok.to_byte()]).unwrap();
        if !is_early {
            say();
        }
        let mut heard = [0; 12];
        guest.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"before!after");
    }
}

#[test]
fn a_guest_that_ends_first_still_reads() {
    let published = Published::start("tcp", 8);
    let (mut client, mut guest) = published.taken();
    guest.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    client.write_all(b"still here").unwrap();
    drop(client);
    let mut rest = Vec::new();
    guest.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"still here");
}

#[test]
fn much_arrives_whole_however_slow_its_reader_is() {
    let published = Published::start("tcp", 8);
    let (mut client, mut guest) = published.taken();
    let much = pattern(20_000_000);
    let sent = much.clone();
    let sender = thread::spawn(move || {
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    });
    thread::sleep(std::time::Duration::from_millis(300));
    assert!(published.card.resident_bytes() < 16 << 20);
    let mut received = Vec::new();
    guest.read_to_end(&mut received).unwrap();
    assert!(received == much);
    sender.join().unwrap();
}

#[test]
fn a_client_that_the_guest_does_not_take_is_reset_and_the_keeper_hears_once() {
    let mut published = Published::start("tcp", 8);
    for _ in 0..2 {
        let mut client = published.client();
        let (mut guest, _) = published.knock();
        let status = Status::ConnectionRefused;
        guest.write_all(&[status.to_byte()]).unwrap();
        assert!(is_reset(&mut client));
    }
    let news = published.card.news();
    assert_eq!(
        news["turnedAway"],
        json!({ "guestPort": 80, "protocol": "tcp", "why": "refused" })
    );
    // Nobody listens on the guest's vsock port: the vsock card closes the stream.
    let mut client = published.client();
    drop(published.guest.accept().expect("a stream to the guest"));
    assert!(is_reset(&mut client));
    assert_eq!(published.card.news()["turnedAway"]["why"], "unreachable");
    assert_eq!(published.arrivals()["counters"]["failed"], 3);
}

#[test]
fn resets_are_passed_on_both_ways() {
    let published = Published::start("tcp", 8);
    let (client, mut guest) = published.taken();
    let no_time = Some(std::time::Duration::ZERO);
    sockopt::set_socket_linger(&client, no_time).unwrap();
    drop(client);
    assert!(is_at_end(&mut guest));
    assert_eq!(guest.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let (mut client, guest) = published.taken();
    drop(guest);
    assert!(is_reset(&mut client));
}

#[test]
fn clients_beyond_the_limit_are_reset_and_those_who_leave_make_room() {
    let mut published = Published::start("tcp", 4); // of which two are for clients
    let (first, first_guest) = published.taken();
    let (_second, _second_guest) = published.taken();
    assert!(published.turns_away());
    assert_eq!(published.arrivals()["counters"]["tooMany"], 1);
    drop((first, first_guest));
    until("one is open", || published.arrivals()["open"] == 1);
    let (_third, _third_guest) = published.taken();
}

#[test]
fn clients_over_tcp_leave_half_of_the_places_to_those_over_udp() {
    let published = Published::start_all(&["tcp", "udp"], 8); // of which four are for clients
    let _taken = [(); 2].map(|()| published.taken());
    assert!(published.turns_away());
    for _ in 0..2 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"one", published.addresses[1]).unwrap();
        let (_, arrival) = published.knock();
        assert_eq!(arrival.client, client.local_addr().unwrap());
    }
}

#[test]
fn a_new_client_over_udp_takes_the_place_of_who_was_silent_longest() {
    let mut published = Published::start("udp", 8); // of which two are for clients over UDP
    let clients = [(); 4].map(|()| {
        let client = patient(UdpSocket::bind("127.0.0.1:0").unwrap());
        client.connect(published.address).unwrap();
        client
    });
    let arrive = |client: &UdpSocket| {
        client.send(b"one").unwrap();
        let (mut guest, arrival) = published.knock();
        assert_eq!(arrival.client, client.local_addr().unwrap());
        guest.write_all(&[Status::Ok.to_byte()]).unwrap();
        guest.write_all(&frame(b"answer").unwrap()).unwrap();
        client.recv(&mut [0; 6]).unwrap();
        guest.read_exact(&mut [0; 5]).unwrap();
        guest
    };
    let mut first = arrive(&clients[0]);
    // Only who has its address can say something after the answer.
    clients[0].send(b"two").unwrap();
    first.read_exact(&mut [0; 5]).unwrap();
    let mut others = [1, 2, 3].map(|index| arrive(&clients[index]));
    assert!(others[..2].iter_mut().all(is_at_end));
    for (client, guest) in [(0, &mut first), (3, &mut others[2])] {
        clients[client].send(b"more").unwrap();
        guest.read_exact(&mut [0; 6]).unwrap();
    }
    let arrivals = published.arrivals();
    assert_eq!(
        (&arrivals["open"], &arrivals["counters"]["tooMany"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn datagrams_of_each_client_have_a_stream_and_answers_come_from_the_published_port() {
    let mut published = Published::start("udp", 16);
    let clients = [(); 2].map(|()| patient(UdpSocket::bind("127.0.0.1:0").unwrap()));
    for client in &clients {
        client.connect(published.address).unwrap();
        client.send(b"one").unwrap();
        client.send(b"").unwrap();
        let (mut guest, arrival) = published.knock();
        assert_eq!(arrival.client, client.local_addr().unwrap());
        assert_eq!(arrival.protocol, Protocol::Udp);
        guest.write_all(&[Status::Ok.to_byte()]).unwrap();
        let mut frames = [0; 7];
        guest.read_exact(&mut frames).unwrap();
        assert_eq!(&frames, b"\0\x03one\0\0");
        let much = vec![7; 60_000];
        guest.write_all(&frame(&much).unwrap()).unwrap();
        let mut answer = vec![0; 65_536];
        assert_eq!(client.recv(&mut answer).unwrap(), 60_000);
        drop(guest);
    }
    let arrivals = published.arrivals();
    assert_eq!(arrivals["counters"]["udp"], 2);
    assert_eq!(arrivals["counters"]["bytesFromGuest"], 120_000);
}
