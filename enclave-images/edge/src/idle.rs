//! Whether a client takes part in its connection. What counts is payload: requests, and the bytes of bodies as they
//! are passed on; frames of HTTP/2 without any, such as pings, do not. Time in which the program is waited for does
//! not count against the client.
#![forbid(unsafe_code)]

use hyper::body::{Body, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// What a connection has done.
pub struct Activity {
    start: Instant,
    last_ms: AtomicU64,
    /// Requests that wait for the program alone.
    excused: AtomicUsize,
}

impl Activity {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
            excused: AtomicUsize::new(0),
        })
    }

    fn touch(&self) {
        let elapsed = self.start.elapsed().as_millis() as u64;
        self.last_ms.store(elapsed, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        if self.excused.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }
}

/// Polls until the end; `None` when nothing has moved for as long as `limit`.
pub async fn while_active<F>(
    mut future: Pin<&mut F>,
    activity: &Activity,
    limit: Duration,
) -> Option<F::Output>
where
    F: Future,
{
    loop {
        let rest = limit.saturating_sub(activity.idle());
        if rest.is_zero() {
            return None;
        }
        if let Ok(ended) = timeout(rest, future.as_mut()).await {
            return Some(ended);
        }
    }
}

/// Whom a request waits for.
#[derive(Debug, Default, Clone, Copy)]
struct Awaited {
    /// For bytes of the request.
    client: bool,
    /// For the answer, or bytes of it.
    program: bool,
}

impl Awaited {
    /// A program that waits for the client's bytes is not to blame.
    const fn is_excused(self) -> bool {
        self.program && !self.client
    }
}

/// One request, from its head to the end of both bodies.
pub struct Turn {
    activity: Arc<Activity>,
    awaited: Mutex<Awaited>,
}

impl Turn {
    /// With the program's turn.
    pub fn begin(activity: &Arc<Activity>) -> Arc<Self> {
        let turn = Arc::new(Self {
            activity: Arc::clone(activity),
            awaited: Mutex::default(),
        });
        turn.wait_for(Side::Program, true);
        turn
    }

    /// The body that the client sends.
    pub fn request<B>(self: &Arc<Self>, body: B) -> Watched<B> {
        self.watch(Side::Client, body)
    }

    /// The body of the program's answer, whose head is there.
    pub fn answer<B>(self: &Arc<Self>, body: B) -> Watched<B> {
        self.wait_for(Side::Program, false);
        self.watch(Side::Program, body)
    }

    fn watch<B>(self: &Arc<Self>, sender: Side, body: B) -> Watched<B> {
        Watched {
            body,
            sender,
            turn: Arc::clone(self),
        }
    }

    fn wait_for(&self, side: Side, waits: bool) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let was_excused = awaited.is_excused();
        match side {
            Side::Client => awaited.client = waits,
            Side::Program => awaited.program = waits,
        }
        let excused = &self.activity.excused;
        match (was_excused, awaited.is_excused()) {
            (false, true) => excused.fetch_add(1, Ordering::Relaxed),
            (true, false) => excused.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
        self.activity.touch();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.wait_for(Side::Program, false);
    }
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Client,
    Program,
}

/// A body that tells when it moves, and when its sender is waited for.
pub struct Watched<B> {
    body: B,
    sender: Side,
    turn: Arc<Turn>,
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.turn.wait_for(this.sender, polled.is_pending());
        if polled.is_ready() {
            this.turn.activity.touch();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.turn.wait_for(self.sender, false);
    }
}

/// The client's end of a tunnel, whose every byte counts.
pub struct Tunnel<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Tunnel<S> {
    pub fn new(stream: S, activity: &Arc<Activity>) -> Self {
        Self {
            stream,
            activity: Arc::clone(activity),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tunnel<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if polled.is_ready() {
            this.activity.touch();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tunnel<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        if polled.is_ready() {
            this.activity.touch();
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
