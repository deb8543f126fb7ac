//! Bytes of one connection, each way with an end of its own. A reset of one side reaches the other as a reset.
#![forbid(unsafe_code)]

use futures_util::future::try_join;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio_vsock::VsockStream;

const BUFFER_BYTES: usize = 32 * 1024;
/// Of one connection: both ways.
pub const MAX_BUFFER_BYTES: usize = 2 * BUFFER_BYTES;

/// Carries bytes between the host's stream and the program until both have ended. The program reads `lead` first. Once it
/// has said all, its client's reset is an end like others to it.
pub async fn carry(stream: VsockStream, mut program: TcpStream, lead: &[u8]) -> io::Result<()> {
    let number = stream.as_raw_fd();
    let has_said_all = AtomicBool::new(false);
    program.write_all(lead).await?;
    let (mut from_host, mut to_host) = split(stream);
    let (mut from_program, mut to_program) = program.split();
    let inward = async {
        pass(&mut from_host, &mut to_program).await?;
        if !has_said_all.load(Ordering::Relaxed) && is_closed(number) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        to_program.shutdown().await
    };
    let outward = async {
        pass(&mut from_program, &mut to_host).await?;
        has_said_all.store(true, Ordering::Relaxed);
        to_host.shutdown().await
    };
    let result = try_join(inward, outward).await;
    if result.is_err() {
        // The host's stream is closed as a whole, without the end of its bytes before: that is its reset.
        program.set_zero_linger()?;
    }
    result.map(|_| ())
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}

/// Whether the host has closed the stream as a whole: then it takes no bytes, not even none. Nor does a stream whose way
/// to the host has been shut down here.
fn is_closed(stream: RawFd) -> bool {
    matches!(send(stream, &[], MsgFlags::MSG_NOSIGNAL), Err(Errno::EPIPE))
}
