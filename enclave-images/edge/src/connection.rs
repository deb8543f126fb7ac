//! One client's connection: the handshake, and HTTP/1.1 or HTTP/2 as it was agreed on (ALPN).
#![forbid(unsafe_code)]

use crate::attestation::{Channel, EXPORTER_BYTES};
use crate::exchange::{Answer, Exchange};
use crate::identity::Identity;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Of TLS records, and of heads and bodies on their way, from and to the client and the program.
pub const MAX_BUFFER_BYTES: usize = 1024 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of a request, and between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked whether an HTTP/2 connection is idle, and how long it may take to end.
const TURN: Duration = Duration::from_secs(5);
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_STREAMS: u32 = 32;
const WINDOW_BYTES: u32 = 256 * 1024;
/// Of each stream.
const SEND_BUFFER_BYTES: usize = 8 * 1024;
/// RFC 9266 section 2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// Shakes hands; says what the connection is bound to.
pub async fn shake_hands<S>(stream: S, identity: &Identity) -> io::Result<(TlsStream<S>, Channel)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let acceptor = TlsAcceptor::from(Arc::clone(&identity.config));
    let tls = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    let exporter = [0; EXPORTER_BYTES];
    let exporter = tls
        .get_ref()
        .1
        .export_keying_material(exporter, EXPORTER_LABEL, None);
    let channel = Channel {
        spki_sha256: identity.spki_sha256,
        exporter: exporter.map_err(io::Error::other)?,
    };
    Ok((tls, channel))
}

/// Serves the requests of a connection until it ends.
pub async fn serve<S>(tls: TlsStream<S>, exchange: Exchange) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let exchange = Arc::new(exchange);
    let stream = TokioIo::new(tls);
    if is_http2 {
        return serve_http2(stream, exchange).await;
    }
    let service = service_fn(move |request| answer(Arc::clone(&exchange), request));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(stream, service)
        .with_upgrades()
        .await
}

async fn answer(exchange: Arc<Exchange>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(exchange.answer(request).await)
}

/// HTTP/2 has no time-out for a connection without requests.
async fn serve_http2<S>(
    stream: TokioIo<TlsStream<S>>,
    exchange: Arc<Exchange>,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let seen = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let (exchange, busy) = (Arc::clone(&exchange), Busy::new(&seen));
        async move { Ok::<_, Infallible>(while_busy(exchange.answer(request).await, busy)) }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .keep_alive_interval(IDLE_TIMEOUT / 2)
            .serve_connection(stream, service)
    );
    loop {
        if let Ok(ended) = timeout(TURN, connection.as_mut()).await {
            return ended;
        }
        if activity.idle() > IDLE_TIMEOUT {
            connection.as_mut().graceful_shutdown();
            return timeout(TURN, connection).await.unwrap_or(Ok(()));
        }
    }
}

/// Whether a connection has requests, and since when it has none.
struct Activity {
    start: Instant,
    requests: AtomicUsize,
    last_ms: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            requests: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
        }
    }

    fn idle(&self) -> Duration {
        if self.requests.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }
}

/// A request, until the last of its answer is sent or dropped.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let elapsed = self.0.start.elapsed().as_millis() as u64;
        self.0.last_ms.store(elapsed, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

fn while_busy<B>(
    response: Response<B>,
    busy: Busy,
) -> Response<impl Body<Data = Bytes, Error = B::Error>>
where
    B: Body<Data = Bytes>,
{
    response.map(|body| {
        body.map_frame(move |frame| {
            let _ = &busy;
            frame
        })
    })
}
