//! Clients that hold a connection without using it, and those that wait for a slow program.

use super::*;
use crate::attestation::{Attestation, Line, PATH};
use crate::forward::Program;
use crate::idle::Activity;
use cloister_guest_api::desk::Desk;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2 as http2_client;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

const LIMIT: Duration = Duration::from_secs(1);
/// Ends a test that has failed.
const FAR: Duration = Duration::from_secs(20);
const PIPE_BYTES: usize = 16 * 1024;
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n1";
const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let is_over = runtime.block_on(async { timeout(FAR * 3, test).await.is_ok() });
    assert!(is_over, "client, edge or program still waits");
}

/// Of an NSM that answers nothing.
fn attestation() -> Arc<Attestation> {
    let desk = Desk::open(Box::new(|_| Err(io::ErrorKind::Unsupported.into()))).unwrap();
    Arc::new(Attestation::new(desk))
}

/// A client's connection, and the program behind it.
struct Link {
    client: DuplexStream,
    program: TcpListener,
    places: Arc<Semaphore>,
}

impl Link {
    async fn open(is_http2: bool) -> Self {
        Self::open_beside(attestation(), is_http2).await
    }

    /// One of those that share the documents.
    async fn open_beside(attestation: Arc<Attestation>, is_http2: bool) -> Self {
        let program = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, edge) = duplex(PIPE_BYTES);
        let places = Arc::new(Semaphore::new(1));
        let exchange = Exchange {
            attestation,
            program: Program::new(program.local_addr().unwrap().port()),
            channel: Channel {
                spki_sha256: [0; 32],
                exporter: [0; EXPORTER_BYTES],
            },
            line: Line::default(),
            place: Arc::new(Arc::clone(&places).acquire_owned().await.unwrap()),
            activity: Activity::new(),
            idle_limit: LIMIT,
        };
        tokio::spawn(serve_stream(edge, is_http2, Arc::new(exchange)));
        Self {
            client,
            program,
            places,
        }
    }

    /// Sends a request over HTTP/1.1; the program's end once it has come.
    async fn ask(&mut self, request: &[u8]) -> TcpStream {
        self.client.write_all(request).await.unwrap();
        let (mut program, _) = self.program.accept().await.unwrap();
        program.read_exact(&mut [0; 4]).await.unwrap();
        program
    }

    /// Until the connection's place is free again.
    async fn ended(&self) {
        let place = timeout(FAR, self.places.acquire()).await;
        drop(place.expect("the connection holds its place"));
    }
}

#[test]
fn a_client_that_takes_no_answer_but_answers_pings_is_idle() {
    run(async {
        let link = Link::open(true).await;
        let Link { client, places, .. } = link;
        let (mut requests, connection) = http2_client::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(0)
            .keep_alive_interval(LIMIT / 8)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(client))
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = Request::get(format!("https://a{PATH}")).body(Empty::<Bytes>::new());
        // No nonce: the answer is a refusal with a body.
        let answer = requests.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 400);
        let place = timeout(FAR, places.acquire()).await;
        assert!(place.is_ok());
    });
}

#[test]
fn a_client_that_does_not_finish_its_request_is_idle() {
    run(async {
        let mut link = Link::open(false).await;
        let _program = link.ask(POST).await;
        link.ended().await;
    });
}

#[test]
fn a_client_that_does_not_read_is_idle() {
    run(async {
        let mut link = Link::open(false).await;
        let mut program = link.ask(GET).await;
        tokio::spawn(async move {
            let _ = program.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while program.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
        link.ended().await;
    });
}

#[test]
fn a_tunnel_in_which_nothing_moves_ends() {
    run(async {
        let mut link = Link::open(false).await;
        let mut program = link.ask(UPGRADE).await;
        program.write_all(SWITCHING).await.unwrap();
        for _ in 0..30 {
            program.write_all(b"x").await.unwrap();
            sleep(LIMIT / 20).await;
        }
        assert_eq!(link.places.available_permits(), 0);
        link.ended().await;
    });
}

#[test]
fn a_client_may_wait_for_a_slow_program() {
    run(async {
        let mut link = Link::open(false).await;
        let mut program = link.ask(GET).await;
        sleep(LIMIT * 3 / 2).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na";
        program.write_all(head).await.unwrap();
        sleep(LIMIT * 3 / 2).await;
        program.write_all(b"b").await.unwrap();
        let mut answer = Vec::new();
        let end = b"\r\n\r\nab";
        while !answer.ends_with(end) {
            assert_ne!(link.client.read_buf(&mut answer).await.unwrap(), 0);
        }
        link.ended().await;
    });
}

#[test]
fn a_client_that_asks_for_many_documents_keeps_none_from_another() {
    const MANY: usize = 100;
    run(async {
        let attestation = attestation();
        let greedy = Link::open_beside(Arc::clone(&attestation), true).await;
        let (requests, connection) = http2_client::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(greedy.client))
            .await
            .unwrap();
        tokio::spawn(connection);
        let answered = Arc::new(AtomicUsize::new(0));
        for _ in 0..MANY {
            let (mut requests, answered) = (requests.clone(), Arc::clone(&answered));
            tokio::spawn(async move {
                let request = Request::get(format!("https://a{PATH}?nonce=00"));
                let request = request.body(Empty::<Bytes>::new()).unwrap();
                requests.ready().await.unwrap();
                requests.send_request(request).await.unwrap();
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
        while answered.load(Ordering::Relaxed) < MANY / 2 {
            sleep(Duration::from_millis(10)).await;
        }
        let mut modest = Link::open_beside(attestation, false).await.client;
        let request = format!("GET {PATH}?nonce=00 HTTP/1.1\r\nhost: a\r\n\r\n");
        modest.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        modest.read_exact(&mut status).await.unwrap();
        // What the NSM of this test leads to.
        assert_eq!(&status, b"HTTP/1.1 502");
        assert!(answered.load(Ordering::Relaxed) < MANY);
    });
}
