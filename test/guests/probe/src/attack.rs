//! An app that attacks the ports of its parent: it floods them, leaves messages half-written, lies
//! about lengths, never reads, and poses as the agent. Then it serves a count of what got through.
#![forbid(unsafe_code)]

use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_init, nsm_process_request};
use serde_json::json;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};
use vsock::VsockStream;

const PARENT: u32 = 3;
const HEARTBEAT: u32 = 9000;
const NSM: u32 = 9001;
const AGENT: u32 = 9002;

/// Answered with 12 KiB each time when they are not read.
const ATTEST: &[u8] = b"\xa1\x6bAttestation\xa3\x69user_data\xf6\x65nonce\xf6\x6apublic_key\xf6";
/// `{"event": "exited", "code": 99}`
const LIE: &[u8] = b"\xa2\x65event\x66exited\x64code\x18\x63";

/// How long the worst of it goes on.
const ATTACK: Duration = Duration::from_secs(6);

pub fn run() {
    let mut held = Vec::new();
    for port in [HEARTBEAT, NSM, AGENT] {
        for message in messages() {
            held.extend(say(port, &message));
        }
    }
    let unread = (0..4).map(|_| never_read()).sum::<usize>();
    let connections = [HEARTBEAT, NSM, AGENT].map(|port| flood(port, &mut held));
    let closed = VsockStream::connect_with_cid_port(PARENT, 9003).is_err();
    let asker = thread::spawn(ask_while_attacked);
    let hit_and_run = hit_and_run(Instant::now() + ATTACK);
    let (answered, failed) = asker.join().expect("the asker ends");
    crate::serve(&json!({
        "connections": connections, "unread": unread, "closed": closed, "heartbeat": heartbeat(),
        "hitAndRun": hit_and_run, "answered": answered, "failed": failed,
    }));
}

/// Dials the NSM's port, leaves as many requests there as fit into 60 kB and hangs up, again and
/// again; how often. The parent must not work for somebody who has gone.
pub fn hit_and_run(until: Instant) -> usize {
    let requests = framed(ATTEST).repeat(60_000 / framed(ATTEST).len());
    let mut count = 0;
    while Instant::now() < until {
        count += usize::from(say(NSM, &requests).is_some());
    }
    count
}

/// Connections with half a message, more of them than the parent serves.
pub fn hold(held: &mut Vec<VsockStream>) {
    for port in [HEARTBEAT, NSM, AGENT] {
        held.extend((0..300).filter_map(|_| say(port, &[0, 0, 16, 0, 0x61])));
    }
}

/// How many requests of a legitimate client were answered during the attack, and how many were not.
fn ask_while_attacked() -> (usize, usize) {
    let until = Instant::now() + ATTACK;
    let device = nsm_init();
    let mut counts = (0, 0);
    while Instant::now() < until {
        match nsm_process_request(device, Request::GetRandom) {
            Response::GetRandom { .. } => counts.0 += 1,
            _ => counts.1 += 1,
        }
    }
    counts
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn messages() -> Vec<Vec<u8>> {
    vec![
        vec![0x00],                              // no heartbeat
        vec![0xff; 4],                           // a message of 4 GiB
        [&[0, 0, 16, 0][..], &[0; 64]].concat(), // the beginning of one of 4 KiB
        vec![0, 0],                              // half a length
        framed(b""),                             // an empty one
        framed(&[0x9f; 4096]),                   // arrays that never end
        framed(LIE),                             // the agent's words
        framed(b"\xa2\x65event\x66failed\x64step\x64\x1b[2J"),
        vec![0xb7; 1 << 16], // many heartbeats
    ]
}

/// A connection that stays open after `message`.
fn say(port: u32, message: &[u8]) -> Option<VsockStream> {
    let mut stream = VsockStream::connect_with_cid_port(PARENT, port).ok()?;
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .ok()?;
    let _ = stream.write_all(message);
    Some(stream)
}

/// Asks for documents until the parent takes no more requests; how many it took.
fn never_read() -> usize {
    let Some(mut stream) = say(NSM, b"") else {
        return 0;
    };
    let request = framed(ATTEST);
    let taken = (0..100_000).take_while(|_| stream.write_all(&request).is_ok());
    let count = taken.count();
    std::mem::forget(stream);
    count
}

/// A thousand connections that are closed at once, and a hundred that are not.
fn flood(port: u32, held: &mut Vec<VsockStream>) -> usize {
    let connect = || VsockStream::connect_with_cid_port(PARENT, port).ok();
    let closed = (0..1000).filter(|_| connect().is_some()).count();
    held.extend((0..100).filter_map(|_| connect()));
    closed
}

/// Whether the heartbeat port still answers, after all this.
fn heartbeat() -> bool {
    let Some(mut stream) = say(HEARTBEAT, &[0xb7]) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut byte = [0];
    stream.read_exact(&mut byte).is_ok() && byte[0] == 0xb7
}
