//! One client's connection: the handshake, and HTTP/1.1 or HTTP/2 as it was agreed on (ALPN).
#![forbid(unsafe_code)]

use crate::attestation::{Channel, EXPORTER_BYTES};
use crate::exchange::{Answer, Exchange};
use crate::identity::Identity;
use crate::idle::while_active;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Of TLS records, and of heads and bodies on their way, from and to the client and the program.
pub const MAX_BUFFER_BYTES: usize = 1024 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of a request, between requests, and while the client neither sends nor takes bytes of bodies.
pub const IDLE_LIMIT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(5);
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

/// Serves the requests of a connection until it ends, or its client has been idle for too long.
pub async fn serve<S>(tls: TlsStream<S>, exchange: Exchange) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    serve_stream(tls, is_http2, Arc::new(exchange)).await
}

async fn serve_stream<S>(
    stream: S,
    is_http2: bool,
    exchange: Arc<Exchange>,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (activity, limit) = (Arc::clone(&exchange.activity), exchange.idle_limit);
    let stream = TokioIo::new(stream);
    let service = service_fn(move |request| answer(Arc::clone(&exchange), request));
    if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .keep_alive_interval(IDLE_LIMIT / 2)
            .serve_connection(stream, service);
        let mut connection = pin!(connection);
        if let Some(ended) = while_active(connection.as_mut(), &activity, limit).await {
            return ended;
        }
        connection.as_mut().graceful_shutdown();
        return end(connection).await;
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    if let Some(ended) = while_active(connection.as_mut(), &activity, limit).await {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    end(connection).await
}

/// Lets a connection say that it ends.
async fn end<C>(connection: Pin<&mut C>) -> Result<(), hyper::Error>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    timeout(END_TIMEOUT, connection).await.unwrap_or(Ok(()))
}

async fn answer(exchange: Arc<Exchange>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(exchange.answer(request).await)
}

#[cfg(test)]
mod tests;
