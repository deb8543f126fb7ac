//! Datagrams of a guest through a card as it runs, over its socket, to servers on the loopback.

mod rig;

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::thread;

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::{Status, frame, split_frame};
use rig::{Card, flow, is_at_end, loopback, pattern, unserved_datagrams, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

#[test]
fn datagrams_keep_their_borders_and_come_back() {
    let card = Card::start(loopback());
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok((count, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..count], from).unwrap();
        }
    });
    let (mut stream, status) = card.request(&flow(Protocol::Udp, address, None));
    assert_eq!(status, Status::Ok);
    for length in [1, 0, 1400, 60_000, 65_507] {
        let datagram = pattern(length);
        stream.write_all(&frame(&datagram).unwrap()).unwrap();
        let mut inbox = vec![0; length + 2];
        stream.read_exact(&mut inbox).unwrap();
        assert_eq!(split_frame(&inbox), Some((&datagram[..], length + 2)));
    }
    // One that no network takes is dropped, and the next one goes on.
    stream.write_all(&frame(&pattern(65_535)).unwrap()).unwrap();
    stream.write_all(&frame(b"next").unwrap()).unwrap();
    let mut inbox = [0; 6];
    stream.read_exact(&mut inbox).unwrap();
    assert_eq!(&inbox, b"\0\x04next");
}

#[test]
fn a_flood_of_small_datagrams_waits_for_its_turn() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut card = Card::start(loopback());
    let request = flow(Protocol::Udp, server.local_addr().unwrap(), None);
    let (mut stream, status) = card.request(&request);
    assert_eq!(status, Status::Ok);
    let pid = Pid::from_raw(card.pid() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let datagrams = 30_000_u64;
    let frames = [0, 1, 7].repeat(datagrams as usize);
    stream.write_all(&frames).unwrap();
    card.ask(json!({ "id": 2, "request": "status" }));
    kill_process(pid, Signal::CONT).unwrap();
    let result = card.news();
    let sent = result["result"]["counters"]["bytesFromGuest"]
        .as_u64()
        .unwrap();
    assert!(sent < datagrams / 2, "{sent}");
    until("every datagram is counted", || {
        card.status()["counters"]["bytesFromGuest"] == datagrams
    });
}

#[test]
fn an_association_ends_when_nobody_listens() {
    let card = Card::start(loopback());
    let (_nobody, address) = unserved_datagrams();
    let (mut stream, status) = card.request(&flow(Protocol::Udp, address, None));
    assert_eq!(status, Status::Ok);
    stream.write_all(&frame(b"?").unwrap()).unwrap();
    assert!(is_at_end(&mut stream));
}
