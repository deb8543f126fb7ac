//! Any bytes on the card channel, in pieces of any size: every line gets one answer, which is
//! JSON and repeats the id; the card outlives them all.
#![no_main]

use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use cloister_vsock::channel::{Channel, Keeper, answer};
use cloister_vsock::device::{Device, DeviceOptions};
use cloister_vsock::limits::Limits;
use cloister_vsock::policy::Policy;
use cloister_vsock::reactor::Reactor;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let reactor = Reactor::new().expect("an epoll set");
    let mut device = new_device(&reactor);
    check_answers(bytes, &mut device);
    let (card, keeper) = UnixStream::pair().expect("a socket pair");
    keeper.set_nonblocking(true).expect("non-blocking");
    let mut channel = Channel::new(card, &reactor).expect("a channel");
    let mut answers = 0;
    for piece in bytes.chunks(usize::from(piece) + 1) {
        (&keeper).write_all(piece).expect("room for a piece");
        if channel.on_ready(&mut device) == Keeper::Gone {
            return;
        }
        answers += count_answers(&keeper);
    }
    assert_eq!(answers, bytes.iter().filter(|byte| **byte == b'\n').count());
});

fn check_answers(bytes: &[u8], device: &mut Device) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let answer = answer(line, device);
        let request: Option<Value> = serde_json::from_slice(line).ok();
        let id = request.as_ref().and_then(|request| request.get("id"));
        assert_eq!(answer["id"], id.cloned().unwrap_or_default());
        assert!(answer.get("result").is_some() != answer.get("error").is_some());
    }
}

/// Answers are taken as they come, so that the socket never fills up.
fn count_answers(mut keeper: &UnixStream) -> usize {
    let mut text = Vec::new();
    match keeper.read_to_end(&mut text) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        other => panic!("the card closed the channel: {other:?}"),
    }
    let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
    for line in &lines {
        serde_json::from_slice::<Value>(line).expect("JSON");
    }
    lines.len()
}

fn new_device(reactor: &Reactor) -> Device {
    // An abstract name: nothing is left behind in a directory.
    let name = format!("cloister-vsock-fuzz-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).expect("a name");
    let options = DeviceOptions {
        guest_cid: 16,
        uds_path: "/nonexistent".into(),
        listener: UnixListener::bind_addr(&address).expect("a listener"),
        policy: Policy::default(),
        host_vsock: false,
        kernel: None,
        limits: Limits::default(),
    };
    Device::new(options, reactor).expect("a device")
}
