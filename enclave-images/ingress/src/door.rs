//! Streams of the network card: how many there are at a time, what each one says first, and whether the image declares
//! the port that it asks for.
#![forbid(unsafe_code)]

use crate::program::{self, Program};
use crate::{datagrams, relay};
use cloister_egress_policy::wire::Status;
use cloister_ingress_wire::{ARRIVAL_BYTES, Arrival, Ingress, Port, proxy_header};
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_vsock::{VsockAddr, VsockListener, VsockStream};

/// As many as the network card has for published ports.
const MAX_FLOWS: usize = 1024;
const MIN_FLOWS: usize = 32;
/// The network card says what it wants in one piece.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the next attempt, when the kernel has no descriptor for a stream.
const PAUSE: Duration = Duration::from_millis(100);
/// The host, and the parent of an enclave as AWS counts; not the guest itself.
const HOST_CIDS: [u32; 2] = [2, 3];

pub struct Door {
    ingress: Ingress,
    places: Arc<Semaphore>,
}

impl Door {
    pub fn new(ingress: Ingress, buffer_bytes: usize) -> Arc<Self> {
        let places = (buffer_bytes / relay::MAX_BUFFER_BYTES).clamp(MIN_FLOWS, MAX_FLOWS);
        Arc::new(Self {
            ingress,
            places: Arc::new(Semaphore::new(places)),
        })
    }

    pub async fn serve(self: Arc<Self>, listener: &VsockListener) -> io::Result<Infallible> {
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            if is_host(from) {
                let door = Arc::clone(&self);
                tokio::spawn(async move { door.receive(stream).await });
            }
        }
    }

    async fn receive(&self, mut stream: VsockStream) -> io::Result<()> {
        let Ok(_place) = self.places.try_acquire() else {
            return answer(&mut stream, Status::TooManyFlows).await;
        };
        let mut bytes = [0; ARRIVAL_BYTES];
        timeout(PATIENCE, stream.read_exact(&mut bytes)).await??;
        let Ok(arrival) = Arrival::decode(&bytes) else {
            return answer(&mut stream, Status::Malformed).await;
        };
        let Some(port) = self.ingress.find(arrival.protocol, arrival.port) else {
            return answer(&mut stream, Status::DeniedByImage).await;
        };
        match program::connect(arrival.protocol, arrival.port).await {
            Ok(program) => {
                answer(&mut stream, Status::Ok).await?;
                introduce(stream, program, (&arrival, port)).await
            }
            Err(error) => answer(&mut stream, status_of(&error)).await,
        }
    }
}

/// Passes on what client and program say, until both have ended.
async fn introduce(
    stream: VsockStream,
    program: Program,
    (arrival, port): (&Arrival, &Port),
) -> io::Result<()> {
    match program {
        Program::Connection(program) => {
            let header = match port.proxy_protocol {
                Some(_) => proxy_header(arrival),
                None => Vec::new(),
            };
            relay::carry(stream, program, &header).await
        }
        Program::Datagrams(program) => datagrams::carry(stream, &program).await,
    }
}

fn is_host(from: VsockAddr) -> bool {
    HOST_CIDS.contains(&from.cid())
}

async fn answer(stream: &mut VsockStream, status: Status) -> io::Result<()> {
    stream.write_all(&[status.to_byte()]).await
}

fn status_of(error: &io::Error) -> Status {
    match error.kind() {
        ErrorKind::ConnectionRefused => Status::ConnectionRefused,
        ErrorKind::TimedOut => Status::TimedOut,
        _ => Status::HostUnreachable,
    }
}
