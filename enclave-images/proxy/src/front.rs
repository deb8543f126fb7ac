//! The listener, how many connections there are at a time, and which protocol each one speaks: SOCKS5 begins with its
//! version, HTTP with a letter. Connections beyond the limit wait in the kernel's queue.
#![forbid(unsafe_code)]

use crate::way::Way;
use crate::{http, socks, socks_server};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// Of heads and bodies on their way, from and to client and server.
const MAX_BUFFER_BYTES: usize = 256 * 1024;
const MAX_CONNECTIONS: usize = 512;
const MIN_CONNECTIONS: usize = 32;
/// For the first byte.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before the next attempt, when the kernel has no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Front {
    way: Arc<Way>,
    places: Arc<Semaphore>,
}

impl Front {
    pub fn new(way: Way, buffer_bytes: usize) -> Self {
        let places = (buffer_bytes / MAX_BUFFER_BYTES).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS);
        Self {
            way: Arc::new(way),
            places: Arc::new(Semaphore::new(places)),
        }
    }

    pub async fn serve(&self, listener: &TcpListener) -> io::Result<Infallible> {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.map_err(io::Error::other)?;
            let Ok((client, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let _ = client.set_nodelay(true);
            tokio::spawn(greet(client, Arc::clone(&self.way), place));
        }
    }
}

async fn greet(client: TcpStream, way: Arc<Way>, place: OwnedSemaphorePermit) -> io::Result<()> {
    let mut first = [0];
    if timeout(PATIENCE, client.peek(&mut first)).await?? == 0 {
        return Ok(());
    }
    if first == [socks::VERSION] {
        let result = socks_server::serve(client, &way).await;
        drop(place);
        return result;
    }
    http::serve(client, way, place)
        .await
        .map_err(io::Error::other)
}
