//! A client that speaks SOCKS5, from its greeting to the end of its connection.
#![forbid(unsafe_code)]

use crate::socks::{Greeting, MAX_MESSAGE_BYTES, Reply, decode_request};
use crate::target::Target;
use crate::way::{Refusal, Way};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For greeting and request.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn serve(mut client: TcpStream, way: &Way) -> io::Result<()> {
    let mut inbox = Vec::new();
    let asked = timeout(PATIENCE, take_request(&mut client, &mut inbox)).await??;
    let connected = match asked {
        Ok(target) => way.connect(&target).await.map_err(|it| reply_to(&it)),
        Err(reply) => Err(reply),
    };
    match connected {
        Ok(mut server) => {
            client.write_all(&Reply::Succeeded.encode()).await?;
            // What the client has sent in a hurry.
            server.write_all(&inbox).await?;
            copy_bidirectional(&mut client, &mut server).await?;
        }
        Err(reply) => {
            client.write_all(&reply.encode()).await?;
            client.shutdown().await?;
        }
    }
    Ok(())
}

/// What the client asks for; `inbox` then has what came behind it.
async fn take_request(
    client: &mut TcpStream,
    inbox: &mut Vec<u8>,
) -> io::Result<Result<Target, Reply>> {
    let greeting = loop {
        match Greeting::decode(inbox) {
            Ok(Some(greeting)) => break greeting,
            Ok(None) => receive(client, inbox).await?,
            Err(_) => return Err(ErrorKind::InvalidData.into()),
        }
    };
    inbox.drain(..greeting.length);
    client.write_all(&greeting.answer()).await?;
    if !greeting.needs_no_authentication {
        return Err(ErrorKind::PermissionDenied.into());
    }
    loop {
        match decode_request(inbox) {
            Ok(Some((target, length))) => {
                inbox.drain(..length);
                return Ok(Ok(target));
            }
            Ok(None) => receive(client, inbox).await?,
            Err(reply) => return Ok(Err(reply)),
        }
    }
}

async fn receive(client: &mut TcpStream, inbox: &mut Vec<u8>) -> io::Result<()> {
    let mut bytes = [0; MAX_MESSAGE_BYTES];
    let count = client.read(&mut bytes).await?;
    if count == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    inbox.extend_from_slice(&bytes[..count]);
    Ok(())
}

fn reply_to(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::Denied(_) | Refusal::DeniedByHost => Reply::NotAllowed,
        Refusal::Unknown | Refusal::Unreachable => Reply::HostUnreachable,
        Refusal::Refused => Reply::ConnectionRefused,
        Refusal::TimedOut => Reply::TimedOut,
    }
}
