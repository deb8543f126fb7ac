//! The parent that a client or the proxy talks to, and an NSM whose documents are keys.
#![allow(dead_code)] // each test file uses a part

pub mod envelop;

use cloister_kms::document::Attester;
use cloister_kms::failure::Failure;
use cloister_kms::http::{Messages, Request};
use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Ends a test that has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The document is the public key alone: what verifies documents is not part of these tests.
pub struct KeyAsDocument;

impl Attester for KeyAsDocument {
    fn attest(&self, public_key: &[u8], _: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        Ok(public_key.to_vec())
    }
}

/// Serves one request with what `answer` makes of it, and returns the endpoint and the request.
pub fn parent(
    answer: impl FnOnce(&Request) -> String + Send + 'static,
) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, served) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = Messages::new(&stream).request().unwrap().unwrap();
        stream.write_all(answer(&request).as_bytes()).unwrap();
        sender.send(request).unwrap();
    });
    (endpoint, served)
}

/// Numbers below a bound, the same in every run (xorshift64).
pub fn bounded_numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |bound| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    }
}
