//! The two listeners, and how many connections each has at a time. Further ones wait in the kernel's
//! queue, so that a crowd of one listener leaves the other alone.
#![forbid(unsafe_code)]

use crate::desk::Desk;
use crate::routes::{Routes, Way};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

const MAX_CONNECTIONS: usize = 32;
/// Enough for three parameters of the greatest length, each byte percent-encoded.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// For the head of a request, and for the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Of a connection, however busy it is: longer than the NSM may take.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Before the next attempt, when the kernel has no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Listeners {
    tcp: TcpListener,
    unix: UnixListener,
}

impl Listeners {
    /// In a runtime.
    pub fn new(
        tcp: std::net::TcpListener,
        unix: std::os::unix::net::UnixListener,
    ) -> io::Result<Self> {
        tcp.set_nonblocking(true)?;
        unix.set_nonblocking(true)?;
        Ok(Self {
            tcp: TcpListener::from_std(tcp)?,
            unix: UnixListener::from_std(unix)?,
        })
    }

    pub async fn serve(self, desk: Desk) -> io::Result<Infallible> {
        let routes = Rc::new(Routes::new(desk));
        let local = LocalSet::new();
        let Self { tcp, unix } = self;
        local.spawn_local(accept(Rc::clone(&routes), Way::Loopback, async move || {
            Ok(TokioIo::new(tcp.accept().await?.0))
        }));
        local
            .run_until(accept(routes, Way::Socket, async move || {
                Ok(TokioIo::new(unix.accept().await?.0))
            }))
            .await
    }
}

async fn accept<S>(
    routes: Rc<Routes>,
    way: Way,
    next: impl AsyncFn() -> io::Result<S>,
) -> io::Result<Infallible>
where
    S: Read + Write + Unpin + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        match next().await {
            Ok(stream) => {
                let routes = Rc::clone(&routes);
                tokio::task::spawn_local(async move {
                    let _ = timeout(MAX_AGE, serve_one(stream, &routes, way)).await;
                    drop(place);
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn serve_one<S>(stream: S, routes: &Routes, way: Way) -> Result<(), hyper::Error>
where
    S: Read + Write + Unpin,
{
    let service =
        service_fn(
            |request| async move { Ok::<_, Infallible>(routes.answer(&request, way).await) },
        );
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(stream, service)
        .await
}
