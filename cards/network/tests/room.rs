//! When the card is woken up because a guest's stream has room.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use cloister_network::poller::Poller;
use cloister_network::socket::Socket;

const TOKEN: u64 = 1;

#[test]
fn room_is_announced_only_once_there_was_none() {
    let (near, mut far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let poller = Poller::new().unwrap();
    poller.add_guest(&near, TOKEN).unwrap();
    let mut guest = Socket::guest(near.into());
    let mut ready = Vec::new();
    let mut announced = || {
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        ready.first().copied()
    };
    let mut bytes = [7; 4096];
    assert_eq!(guest.send(b"a message").unwrap(), 9);
    guest.rewatch(&poller, TOKEN).unwrap();
    assert_eq!(far.read(&mut bytes).unwrap(), 9);
    assert_eq!(announced(), None);

    while guest.send(&bytes).unwrap() > 0 {}
    guest.rewatch(&poller, TOKEN).unwrap();
    assert_eq!(announced(), None);
    while far.read(&mut bytes).is_ok() {}
    let room = announced().expect("room");
    assert!(room.writable && !room.readable);
}
