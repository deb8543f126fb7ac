//! Datagrams of one client and the program, framed on the host's stream.
#![forbid(unsafe_code)]

use futures_util::future::{Either, select};
use std::io::{self, ErrorKind};
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, split};
use tokio::net::UdpSocket;
use tokio_vsock::VsockStream;

const HEAD_BYTES: usize = 2;
const MAX_DATAGRAM_BYTES: usize = u16::MAX as usize;

/// Until the host ends the stream: it knows when the client has been silent for long enough.
pub async fn carry(stream: VsockStream, program: &UdpSocket) -> io::Result<()> {
    let (from_host, mut to_host) = split(stream);
    let inward = pin!(pass_in(BufReader::new(from_host), program));
    let outward = pin!(pass_out(program, &mut to_host));
    match select(inward, outward).await {
        Either::Left((result, _)) | Either::Right((result, _)) => result,
    }
}

async fn pass_in(mut from_host: impl AsyncRead + Unpin, program: &UdpSocket) -> io::Result<()> {
    let mut datagram = Vec::new();
    loop {
        let length = from_host.read_u16().await?;
        datagram.resize(usize::from(length), 0);
        from_host.read_exact(&mut datagram).await?;
        // One that the program does not take, or that nobody listens for, is lost.
        let _ = program.send(&datagram).await;
    }
}

async fn pass_out(program: &UdpSocket, to_host: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut frame = vec![0; HEAD_BYTES + MAX_DATAGRAM_BYTES];
    loop {
        let length = match program.recv(&mut frame[HEAD_BYTES..]).await {
            Ok(length) => length,
            // Nobody listens, yet.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        frame[..HEAD_BYTES].copy_from_slice(&(length as u16).to_be_bytes());
        to_host.write_all(&frame[..HEAD_BYTES + length]).await?;
    }
}
