//! The process that dials the guest for a card with published ports: how far it is confined, and what becomes of the card
//! and of clients when it cannot dial.

mod rig;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use cloister_egress_policy::wire::Status;
use cloister_ingress_wire::ARRIVAL_BYTES;
use rig::{Card, inherited, patient, until};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Published {
    card: Card,
    guest: UnixListener,
    listener: TcpListener,
}

impl Published {
    fn start() -> Self {
        Self::start_by(Card::start_in)
    }

    fn start_by(start: fn(TempDir, Value) -> Card) -> Self {
        let directory = TempDir::new().unwrap();
        let guest = patient(UnixListener::bind(directory.path().join("vsock.sock")).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd: i32 = inherited(&listener)["fd=".len()..].parse().unwrap();
        let setup = json!({
            "image": { "allow": [], "deny": [] }, "resolvers": [], "maxFlows": 16,
            "published": [{ "fd": fd, "protocol": "tcp", "guestPort": 80 }]
        });
        let card = start(directory, setup);
        Self {
            card,
            guest,
            listener,
        }
    }

    fn client(&self) -> TcpStream {
        patient(TcpStream::connect(self.listener.local_addr().unwrap()).unwrap())
    }

    /// Lets the guest take its next client, and say a byte to it.
    fn take(&self) -> UnixStream {
        let (stream, _) = self.guest.accept().expect("a stream to the guest");
        let mut stream = patient(stream);
        stream.read_exact(&mut [0; "CONNECT 9004\n".len()]).unwrap();
        stream.write_all(b"OK 1073741824\n").unwrap();
        stream.read_exact(&mut [0; ARRIVAL_BYTES]).unwrap();
        stream.write_all(&[Status::Ok.to_byte(), b'!']).unwrap();
        stream
    }

    fn dialler(&self) -> u32 {
        let pid = self.card.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.trim().parse().unwrap()
    }
}

fn network_of(pid: u32) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    link.to_string_lossy().into_owned()
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn it_has_a_network_of_its_own_and_both_are_in_a_sandbox() {
    let published = Published::start();
    let (card, dialler) = (published.card.pid(), published.dialler());
    assert_eq!(network_of(card), network_of(std::process::id()));
    let has_namespaces = Command::new("unshare").args(["-Un", "true"]).status();
    let is_apart = network_of(dialler) != network_of(card);
    assert_eq!(is_apart, has_namespaces.unwrap().success());
    assert_eq!(published.card.ready["sandbox"]["privateRoot"], is_apart);
    for pid in [card, dialler] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"] {
            let is_there =
                status.lines().any(|it| it == line) || !is_apart && line.starts_with('C');
            assert!(is_there, "{line} of {pid}");
        }
    }
}

#[test]
fn on_a_host_without_user_namespaces_clients_are_served_and_the_keeper_hears_of_it() {
    let published = Published::start_by(Card::start_without_namespaces);
    let (card, dialler) = (published.card.pid(), published.dialler());
    assert_eq!(network_of(dialler), network_of(card));
    assert_eq!(published.card.ready["sandbox"]["privateRoot"], false);
    let mut client = published.client();
    let _taken = published.take();
    client.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn a_card_without_published_ports_has_none() {
    let card = Card::start(rig::loopback());
    let pid = card.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    assert_eq!(children, "");
}

#[test]
fn without_it_the_card_ends_and_without_the_card_it_ends() {
    let mut published = Published::start();
    kill(published.dialler());
    assert_eq!(published.card.end().code(), Some(1));
    let mut published = Published::start();
    let dialler = published.dialler();
    kill(published.card.pid());
    published.card.end();
    until("the dialler has ended", || {
        !Path::new(&format!("/proc/{dialler}/root")).exists()
    });
}

#[test]
fn a_client_waits_while_the_vsock_card_has_no_place_for_it() {
    let published = Published::start();
    rustix::net::listen(&published.guest, 0).unwrap(); // one may wait to be accepted
    let mut clients = [(); 4].map(|()| published.client());
    let _taken = [(); 4].map(|()| published.take());
    for client in &mut clients {
        client.read_exact(&mut [0; 1]).unwrap();
    }
}
