//! PID 1 that speaks the agent's protocol with bad intentions.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::process::exit;
use std::thread::sleep;
use std::time::{Duration, Instant};
use vsock::VsockStream;

const PARENT: u32 = 3;

/// Then ends, which ends the machine (panic=-1).
pub fn run(what: &str) {
    let mut channel = connect(9002);
    match what {
        "escape" => send(
            &mut channel,
            &failed("\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m", "no\nway\r"),
        ),
        "chatter" => {
            heartbeat();
            for _ in 0..5000 {
                send(&mut channel, &failed("x", &"y".repeat(400)));
            }
            sleep(Duration::from_secs(1));
        }
        "flood" => flood(&mut channel),
        "halt" | "power-off" => {
            start(&mut channel);
            sleep(Duration::from_secs(1));
            crate::system::halt(what == "power-off");
        }
        "exit" => {
            start(&mut channel);
            sleep(Duration::from_secs(1));
        }
        "exited" => {
            start(&mut channel);
            send(&mut channel, b"\xa2\x65event\x66exited\x64code\x07");
            loop_for_ever();
        }
        "failed" => {
            send(
                &mut channel,
                &failed("mount the moon", "it is made of cheese"),
            );
            loop_for_ever();
        }
        "unconfigured" => {
            start(&mut channel);
            loop_for_ever();
        }
        "garbage" => {
            send(&mut channel, b"\xff\xff\xff");
            sleep(Duration::from_secs(1));
            heartbeat();
            sleep(Duration::from_secs(2));
        }
        _ => heartbeat(),
    }
    sleep(Duration::from_millis(500));
    exit(1)
}

fn start(channel: &mut VsockStream) {
    heartbeat();
    send(channel, b"\xa2\x65event\x67started\x63pid\x01");
}

fn loop_for_ever() {
    loop {
        sleep(Duration::from_secs(60));
    }
}

/// Says that an app runs, and attacks without end.
fn flood(channel: &mut VsockStream) {
    start(channel);
    std::thread::spawn(|| {
        let mut held = Vec::new();
        loop {
            crate::attack::hold(&mut held);
            held.clear();
        }
    });
    loop {
        crate::attack::hit_and_run(Instant::now() + Duration::from_secs(60));
    }
}

fn connect(port: u32) -> VsockStream {
    VsockStream::connect_with_cid_port(PARENT, port).expect("the parent listens")
}

fn heartbeat() {
    let mut stream = connect(9000);
    stream.write_all(&[0xb7]).expect("the parent reads");
    let _ = stream.read(&mut [0]);
}

fn send(channel: &mut VsockStream, message: &[u8]) {
    let length = (message.len() as u32).to_be_bytes();
    // The parent may have hung up; that is its right.
    let _ = channel.write_all(&[&length[..], message].concat());
}

/// `{"event": "failed", "step": step, "error": error}` in CBOR.
fn failed(step: &str, error: &str) -> Vec<u8> {
    let mut message = b"\xa3\x65event\x66failed\x64step".to_vec();
    message.extend(text(step));
    message.extend(b"\x65error");
    message.extend(text(error));
    message
}

fn text(value: &str) -> Vec<u8> {
    let length = value.len() as u16;
    let head = match length {
        0..=23 => vec![0x60 | length as u8],
        24..=255 => vec![0x78, length as u8],
        _ => [&[0x79][..], &length.to_be_bytes()].concat(),
    };
    [head, value.as_bytes().to_vec()].concat()
}
