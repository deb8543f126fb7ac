//! The listeners, how many connections there are at a time, and which key new ones get. Connections beyond
//! the limit wait in the kernel's queue.
#![forbid(unsafe_code)]

use crate::Served;
use crate::attestation::{Attestation, Line};
use crate::connection::{IDLE_LIMIT, MAX_BUFFER_BYTES, serve, shake_hands};
use crate::exchange::Exchange;
use crate::forward::Program;
use crate::identity::{Clocks, Identity};
use crate::idle::Activity;
use cloister_guest_api::desk::Desk;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio::time::sleep;
use tokio_vsock::VsockListener;

const MAX_CONNECTIONS: usize = 128;
const MIN_CONNECTIONS: usize = 16;
/// Before the next attempt, when the kernel has no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What all ports share.
pub struct Front {
    attestation: Arc<Attestation>,
    identity: Mutex<Arc<Identity>>,
    places: Arc<Semaphore>,
}

impl Front {
    pub fn new(desk: Desk, buffer_bytes: usize) -> io::Result<Arc<Self>> {
        let places = (buffer_bytes / MAX_BUFFER_BYTES).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS);
        Ok(Arc::new(Self {
            attestation: Arc::new(Attestation::new(desk)),
            identity: Mutex::new(Arc::new(Identity::make(Clocks::now())?)),
            places: Arc::new(Semaphore::new(places)),
        }))
    }

    /// In a runtime.
    pub async fn serve(self: Arc<Self>, ports: Vec<Served>) -> io::Result<Infallible> {
        let local = LocalSet::new();
        for Served { vsock, tcp, to } in ports {
            tcp.set_nonblocking(true)?;
            let (vsock, tcp) = (VsockListener::from(vsock), TcpListener::from_std(tcp)?);
            let program = Program::new(to);
            let (front, same) = (Arc::clone(&self), program.clone());
            local.spawn_local(async move {
                front
                    .accept(async || Ok(vsock.accept().await?.0), same)
                    .await
            });
            let front = Arc::clone(&self);
            local.spawn_local(async move {
                front
                    .accept(async || Ok(tcp.accept().await?.0), program)
                    .await
            });
        }
        local.run_until(pending()).await
    }

    async fn accept<S>(
        self: Arc<Self>,
        next: impl AsyncFn() -> io::Result<S>,
        program: Program,
    ) -> io::Result<Infallible>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        loop {
            let Ok(stream) = next().await else {
                sleep(PAUSE).await;
                continue;
            };
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = Arc::new(place.map_err(io::Error::other)?);
            let Ok(identity) = self.identity() else {
                continue;
            };
            let attestation = Arc::clone(&self.attestation);
            let program = program.clone();
            tokio::spawn(async move {
                let Ok((tls, channel)) = shake_hands(stream, &identity).await else {
                    return;
                };
                let exchange = Exchange {
                    attestation,
                    program,
                    channel,
                    line: Line::default(),
                    place,
                    activity: Activity::new(),
                    idle_limit: IDLE_LIMIT,
                };
                let _ = serve(tls, exchange).await;
            });
        }
    }

    /// The one for new connections.
    fn identity(&self) -> io::Result<Arc<Identity>> {
        let now = Clocks::now();
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if identity.is_due(now) {
            *identity = Arc::new(Identity::make(now)?);
        }
        Ok(Arc::clone(&identity))
    }
}
