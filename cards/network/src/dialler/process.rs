//! The process that dials: in an empty network where the host allows it, and under a sandbox that leaves it
//! connections to the vsock card's socket. It handles no byte of a client or of the guest, and names the guest's port
//! itself, so that a card that was taken over reaches no other port.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cloister_confine::private_root::{self, Network};
use cloister_confine::sandbox::{self, Reach};
use cloister_confine::vsock_socket;
use cloister_ingress_wire::GUEST_PORT;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, send, sendmsg, socket_with,
};

/// Answers the card, whose socket is standard input, until it goes.
///
/// # Errors
/// When the process cannot be confined, or the card is gone in the middle of an answer.
pub fn serve() -> io::Result<()> {
    let stdin = io::stdin();
    let card = stdin.as_fd();
    let greeting = format!("CONNECT {GUEST_PORT}\n");
    let has_private_root = private_root::enter(Network::Own).is_ok();
    sandbox::enter(Reach::VsockSocket, has_private_root)?;
    send(card, &[u8::from(has_private_root)], SendFlags::NOSIGNAL)?;
    let mut requests = [0; 64];
    loop {
        match recv(card, &mut requests, RecvFlags::empty()) {
            Ok((_, 0)) => return Ok(()),
            Ok((_, count)) => {
                for _ in 0..count {
                    answer(card, dial(greeting.as_bytes()).ok())?;
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn answer(card: BorrowedFd<'_>, stream: Option<OwnedFd>) -> io::Result<()> {
    if let Some(stream) = stream
        && send_answer(card, &[stream.as_fd()]).is_ok()
    {
        return Ok(());
    }
    Ok(send_answer(card, &[])?)
}

fn send_answer(card: BorrowedFd<'_>, streams: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !streams.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(streams));
    }
    loop {
        let byte = [IoSlice::new(&[0])];
        match sendmsg(card, &byte, &mut ancillary, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop),
        }
    }
}

fn dial(greeting: &[u8]) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    vsock_socket::connect(&stream)?;
    // It fits. Whether the vsock card has closed the stream already is seen by whoever gets it.
    let _ = send(&stream, greeting, SendFlags::NOSIGNAL);
    Ok(stream)
}
