//! The proxy's end on the loopback: a thread for each connection, bounded in number and in time.
#![forbid(unsafe_code)]

use super::answer::{Answer, Proxy};
use crate::http::Messages;
use crate::outgoing::CONTENT_TYPE;
use crate::wire::{Socket, Wire};
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Above this many connections at once, a new one is closed.
const MAX_CONNECTIONS: usize = 64;
/// To send a request, once the last one was answered: SDKs keep connections.
const REQUEST_TIME: Duration = Duration::from_secs(60);
const RESPONSE_TIME: Duration = Duration::from_secs(30);
/// After a failure to accept, for example because descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves for ever.
pub fn serve(listener: &TcpListener, proxy: Proxy) -> ! {
    let proxy = Arc::new(proxy);
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        let seat = Seat::take(&open);
        let proxy = Arc::clone(&proxy);
        if let Some(seat) = seat {
            // A connection for which there is no thread is closed.
            let _ = thread::Builder::new().spawn(move || {
                let _seat = seat;
                // A program that goes away is ignored.
                let _ = converse(stream, &proxy);
            });
        }
    }
}

/// One of the `MAX_CONNECTIONS`, given back when it is dropped.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let seat = Self(Arc::clone(open));
        (open.fetch_add(1, Ordering::Relaxed) < MAX_CONNECTIONS).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn converse(stream: TcpStream, proxy: &Proxy) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut messages = Messages::new(Wire::new(Socket::Tcp(stream), REQUEST_TIME));
    loop {
        let request = match messages.request() {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                messages.stream.extend(RESPONSE_TIME);
                let body = format!("{error}\n");
                let head = format!(
                    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                return messages.stream.write_all((head + &body).as_bytes());
            }
            Err(error) => return Err(error),
        };
        let closes = request
            .headers
            .get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let answer = proxy.answer(&request);
        messages.stream.extend(RESPONSE_TIME);
        messages.stream.write_all(&encode(&answer, closes))?;
        if closes {
            return Ok(());
        }
        messages.stream.extend(REQUEST_TIME);
    }
}

fn encode(answer: &Answer, closes: bool) -> Vec<u8> {
    let status = answer.status;
    let length = answer.body.len();
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {length}\r\n",
        if status == 200 { "OK" } else { "Error" }
    );
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if closes {
        head += "connection: close\r\n";
    }
    [head.as_bytes(), b"\r\n", &answer.body].concat()
}
