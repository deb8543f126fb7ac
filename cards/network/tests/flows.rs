//! Flows of a guest through a card as it runs, to servers on the loopback.

mod rig;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::{Request, Status};
use rig::{Card, flow, is_at_end, listen, loopback, patient, pattern, status_of, unserved};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, send, sockopt};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// A flow that stands, and the server's end of it.
fn connected(card: &Card) -> (UnixStream, TcpStream) {
    let (listener, address) = listen();
    let (stream, status) = card.tcp(address);
    assert_eq!(status, Status::Ok);
    let (server, _) = listener.accept().unwrap();
    (stream, patient(server))
}

/// The timer of a socket of this host and in how many ms it is due (proc_net_tcp), by the socket's address and its
/// peer's: connections to several peers may share a port.
fn timer(local: SocketAddr, remote: SocketAddr) -> Option<(u8, u64)> {
    const MS_PER_TICK: u64 = 10;
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let [local, remote] = [local, remote].map(|it| format!(":{:04X}", it.port()));
    let fields = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let is_ours = |row: &Vec<String>| row[1].ends_with(&local) && row[2].ends_with(&remote);
    let mut rows = table.lines().skip(1).map(fields);
    let row = rows.find(|row| is_ours(row) && row[3] == "01")?;
    let (kind, ticks) = row[5].split_once(':')?;
    let ticks = u64::from_str_radix(ticks, 16).ok()?;
    Some((u8::from_str_radix(kind, 16).ok()?, ticks * MS_PER_TICK))
}

#[test]
fn a_silent_server_is_probed_after_two_minutes() {
    const KEEPALIVE: u8 = 2;
    let card = Card::start(loopback());
    let (_stream, server) = connected(&card);
    let (local, remote) = (server.peer_addr().unwrap(), server.local_addr().unwrap());
    let (kind, due_ms) = timer(local, remote).unwrap();
    assert_eq!(kind, KEEPALIVE);
    assert!((60_000..=120_000).contains(&due_ms), "{due_ms}");
}

#[test]
fn it_says_that_it_is_ready_and_confined() {
    let card = Card::start(loopback());
    assert_eq!(card.ready["event"], "ready");
    assert_eq!(card.ready["sandbox"]["seccomp"], true);
}

#[test]
fn it_ends_with_its_keeper() {
    let mut card = Card::start(loopback());
    let (_stream, _server) = connected(&card);
    card.close_keeper();
    assert_eq!(card.end().code(), Some(0));
}

#[test]
fn an_urgent_byte_of_a_server_comes_in_its_place_and_holds_up_nothing() {
    let card = Card::start(loopback());
    for round in 0..50 {
        let (mut stream, server) = connected(&card);
        send(&server, b"before", SendFlags::empty()).unwrap();
        send(&server, b"!", SendFlags::OOB).unwrap();
        send(&server, b"after", SendFlags::empty()).unwrap();
        let mut said = [0; 12];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"before!after", "round {round}");
    }
}

#[test]
fn bytes_go_both_ways_and_each_way_ends_by_itself() {
    let card = Card::start(loopback());
    for guest_first in [true, false] {
        let (mut stream, mut server) = connected(&card);
        stream.write_all(b"from the guest").unwrap();
        server.read_exact(&mut [0; 14]).unwrap();
        server.write_all(b"to the guest").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        if guest_first {
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
            server.write_all(b"still here").unwrap();
            drop(server);
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"still here");
        } else {
            server.shutdown(Shutdown::Write).unwrap();
            assert!(is_at_end(&mut stream));
            stream.write_all(b"still here").unwrap();
            drop(stream);
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"still here");
        }
    }
}

#[test]
fn much_arrives_whole_both_ways_at_once() {
    let card = Card::start(loopback());
    let (mut stream, mut server) = connected(&card);
    let bytes = pattern(32 * 1024 * 1024);
    let echo = thread::spawn(move || {
        let mut buffer = vec![0; 50_000];
        loop {
            let count = server.read(&mut buffer).unwrap();
            if count == 0 {
                return;
            }
            server.write_all(&buffer[..count]).unwrap();
        }
    });
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert!(received == bytes);
    writing.join().unwrap();
    echo.join().unwrap();
}

#[test]
fn a_slow_reader_holds_up_its_sender_and_costs_no_memory() {
    let card = Card::start(loopback());
    let mut flows: Vec<_> = (0..16).map(|_| connected(&card)).collect();
    let before = card.resident_bytes();
    let bytes = pattern(64 * 1024 * 1024);
    for (_, server) in &flows {
        server.set_nonblocking(true).unwrap();
        let mut sent = 0;
        // As much as fits anywhere on the way.
        for _ in 0..50 {
            while let Ok(count) = (&mut &*server).write(&bytes[sent..]) {
                sent += count;
            }
            thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(sent < bytes.len());
    }
    let grown = card.resident_bytes().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "{grown}");
    let (stream, _) = &mut flows[0];
    let mut received = vec![0; 100_000];
    stream.read_exact(&mut received).unwrap();
    assert!(received == bytes[..100_000]);
}

#[test]
fn what_cannot_be_connected_is_said_before_anything_else() {
    let mut card = Card::start(loopback());
    let (_nobody, address) = unserved();
    let (mut stream, status) = card.tcp(address);
    assert_eq!(status, Status::ConnectionRefused);
    assert!(is_at_end(&mut stream));
    assert_eq!(card.status()["counters"]["failed"], 1);
}

#[test]
fn what_is_no_request_is_refused_and_a_request_in_pieces_is_taken() {
    let card = Card::start(loopback());
    for bytes in [&b"GET / HTTP/1.1"[..], &[2], &[1, 9], &[0; 300]] {
        let mut stream = card.stream();
        stream.write_all(bytes).unwrap();
        assert_eq!(status_of(&mut stream), Status::Malformed);
        assert!(!matches!(stream.read(&mut [0; 1]), Ok(1)));
    }
    let (listener, address) = listen();
    let mut stream = card.stream();
    let request = flow(Protocol::Tcp, address, None).encode();
    for byte in &request {
        stream.write_all(&[*byte]).unwrap();
    }
    stream.write_all(b"early").unwrap();
    assert_eq!(status_of(&mut stream), Status::Ok);
    let (mut server, _) = listener.accept().unwrap();
    let mut early = [0; 5];
    server.read_exact(&mut early).unwrap();
    assert_eq!(&early, b"early");
}

#[test]
fn two_thousand_flows_stand_at_once_and_one_beyond_the_limit_is_told() {
    let mut card =
        Card::start_with(json!({ "image": loopback(), "resolvers": [], "maxFlows": 2000 }));
    let (listener, address) = listen();
    let mut flows: Vec<(UnixStream, TcpStream)> = (0..2000)
        .map(|_| {
            let (stream, status) = card.tcp(address);
            assert_eq!(status, Status::Ok);
            (stream, listener.accept().unwrap().0)
        })
        .collect();
    assert_eq!(card.request(&Request::Dns).1, Status::TooManyFlows);
    for (index, (stream, server)) in flows.iter_mut().enumerate() {
        stream.write_all(&(index as u32).to_be_bytes()).unwrap();
        let mut bytes = [0; 4];
        server.read_exact(&mut bytes).unwrap();
        assert_eq!(u32::from_be_bytes(bytes), index as u32);
    }
    assert_eq!(card.status()["flows"], 2000);
    drop(flows);
    // Ends are seen in their turn; a new flow waits behind them.
    card.until_idle();
    assert_eq!(card.tcp(address).1, Status::Ok);
}

#[test]
fn a_guest_that_breaks_off_resets_the_other_side_and_leaves_nothing() {
    let mut card = Card::start(loopback());
    let (stream, mut server) = connected(&card);
    server.write_all(&pattern(100)).unwrap();
    drop(stream);
    let mut rest = Vec::new();
    // The end, or a reset where something was left unread: never more data.
    let _ = server.read_to_end(&mut rest);
    assert!(rest.is_empty());
    drop(server);
    card.until_idle();
}

/// Whether a stream is closed as a whole, once its end was read.
fn is_hung_up(stream: &UnixStream) -> bool {
    let mut watched = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut watched, Some(&Timespec::default())).unwrap();
    watched[0].revents().contains(PollFlags::HUP)
}

#[test]
fn an_orderly_end_and_a_reset_are_told_apart() {
    let card = Card::start(loopback());
    let (mut stream, mut server) = connected(&card);
    server.write_all(b"all").unwrap();
    drop(server);
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"all");
    assert!(!is_hung_up(&stream));

    let (mut stream, mut server) = connected(&card);
    server.write_all(b"part").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    sockopt::set_socket_linger(&server, Some(std::time::Duration::ZERO)).unwrap();
    drop(server);
    assert!(is_at_end(&mut stream));
    assert!(is_hung_up(&stream));
}

#[test]
fn what_a_server_says_before_it_takes_no_more_arrives() {
    let card = Card::start(loopback());
    let (stream, mut server) = connected(&card);
    server.write_all(b"413").unwrap();
    // It closes with bytes unread, which resets the connection behind what it has said.
    let mut writer = stream.try_clone().unwrap();
    writer.write_all(&pattern(100_000)).unwrap();
    server.read_exact(&mut [0; 10]).unwrap();
    drop(server);
    let mut received = [0; 3];
    (&stream).read_exact(&mut received).unwrap();
    assert_eq!(&received, b"413");
}

#[test]
fn a_card_that_was_stopped_goes_on_where_it_was() {
    let card = Card::start(loopback());
    let (mut stream, mut server) = connected(&card);
    let pid = Pid::from_raw(card.pid() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let (listener, address) = listen();
    let mut late = card.stream();
    late.write_all(&flow(Protocol::Tcp, address, None).encode())
        .unwrap();
    stream.write_all(b"while it stands still").unwrap();
    thread::sleep(std::time::Duration::from_secs(1));
    kill_process(pid, Signal::CONT).unwrap();
    let mut received = [0; 21];
    server.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"while it stands still");
    assert_eq!(status_of(&mut late), Status::Ok);
    drop(listener);
}

#[test]
fn streams_of_any_bytes_leave_nothing_behind() {
    let mut card = Card::start(loopback());
    let mut state = 0x2545_f491_u32;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let starts = [&[][..], &[1], &[1, 1], &[1, 2], &Request::Dns.encode()];
    for round in 0..500 {
        let mut bytes = starts[round % starts.len()].to_vec();
        bytes.extend((0..random() % 600).map(|_| random() as u8));
        let mut stream = card.stream();
        // The card may have hung up already.
        let _ = stream.write_all(&bytes);
        if round % 3 == 0 {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
    card.until_idle();
    let (mut stream, mut server) = connected(&card);
    stream.write_all(b"x").unwrap();
    server.read_exact(&mut [0; 1]).unwrap();
}
