//! The guest of the card's tests and benchmarks: PID 1 of a ramdisk that holds nothing else. It
//! dials its parent at CID 2 (which every back end serves), port 9000, takes one command per line,
//! `<id> <command> <argument>...`, and answers `<id> <JSON>`. Commands run side by side.
#![forbid(unsafe_code)]

mod client;
mod crowd;
mod pattern;
mod server;

use std::io::{BufRead, BufReader, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, thread};

use serde_json::{Value, json};
use vsock::VsockStream;

const COMMAND_PORT: u32 = 9000;

fn main() {
    if let Err(error) = serve_commands() {
        println!("guest-test: {error}");
    }
    let _ = rustix::system::reboot(rustix::system::RebootCommand::Restart);
}

fn serve_commands() -> io::Result<()> {
    let stream = dial_until_answered()?;
    let answers = Arc::new(Mutex::new(stream.try_clone()?));
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answers = Arc::clone(&answers);
        if line.ends_with(" reboot") {
            return Ok(());
        }
        thread::spawn(move || {
            let words: Vec<_> = line.split(' ').collect();
            let answer = match perform(&words[1..]) {
                Ok(result) => result,
                Err(error) => {
                    json!({ "errno": error.raw_os_error(), "message": error.to_string() })
                }
            };
            if let Ok(mut answers) = answers.lock() {
                let _ = answers.write_all(format!("{} {answer}\n", words[0]).as_bytes());
            }
        });
    }
    Ok(())
}

fn dial_until_answered() -> io::Result<VsockStream> {
    for _ in 0..50 {
        if let Ok(stream) = VsockStream::connect_with_cid_port(2, COMMAND_PORT) {
            return Ok(stream);
        }
        thread::sleep(Duration::from_millis(100));
    }
    VsockStream::connect_with_cid_port(2, COMMAND_PORT)
}

fn perform(words: &[&str]) -> io::Result<Value> {
    let (command, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let numbers: Vec<u64> = arguments
        .iter()
        .map(|word| word.parse().unwrap_or(0))
        .collect();
    match (*command, numbers.as_slice()) {
        ("listen-echo", [port]) => server::listen(*port as u32, server::echo),
        ("listen-drop", [port]) => server::listen(*port as u32, server::drop_unread),
        ("listen-sink", [port]) => server::listen(*port as u32, server::sink),
        ("listen-silent", [port]) => server::listen(*port as u32, crowd::ignore),
        ("release", []) => Ok(crowd::release()),
        ("fill", [cid, port, count]) => crowd::fill(*cid as u32, *port as u32, *count),
        ("listen-discard", [port, bytes]) => {
            let bytes = *bytes;
            server::listen(*port as u32, move |stream| server::discard(stream, bytes))
        }
        ("listen-source", [port, bytes]) => {
            let bytes = *bytes;
            server::listen(*port as u32, move |stream| server::source(stream, bytes))
        }
        ("dial", [cid, port]) => client::dial(*cid as u32, *port as u32),
        ("seqpacket", [cid, port]) => client::seqpacket(*cid as u32, *port as u32),
        ("send", [cid, port, bytes, chunk]) => {
            client::send(*cid as u32, *port as u32, *bytes, *chunk as usize)
        }
        ("drain", [cid, port, pause_ms]) => client::drain(*cid as u32, *port as u32, *pause_ms),
        ("mirror", [cid, port, bytes, chunk]) => {
            client::mirror(*cid as u32, *port as u32, *bytes, *chunk as usize)
        }
        ("ping", [cid, port, size, count]) => {
            client::ping(*cid as u32, *port as u32, *size as usize, *count as usize)
        }
        ("dial-together", [cid, port, count]) => {
            client::dial_together(*cid as u32, *port as u32, *count)
        }
        ("dial-in-turn", [cid, port, count]) => {
            client::dial_in_turn(*cid as u32, *port as u32, *count)
        }
        ("drop-unread", [cid, port]) => client::drop_unread(*cid as u32, *port as u32),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
