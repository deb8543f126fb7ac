//! How the guest hears that the host has closed its end of a stream: for sending, or as a whole.

mod rig;

use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use cloister_vsock::connection::QUANTUM_BYTES;
use cloister_vsock::packet::Operation;
use rig::Rig;

/// Flags of VIRTIO_VSOCK_OP_SHUTDOWN (virtio 1.2 section 5.10.6.6).
const RECEIVE: u32 = 1;
const SEND: u32 = 2;

/// The shutdown packets that the guest gets.
fn told(rig: &mut Rig) -> Vec<u32> {
    rig.serve();
    let received = rig.driver.received();
    received
        .iter()
        .filter(|(header, _)| header.operation == Operation::Shutdown as u16)
        .map(|(header, _)| header.flags)
        .collect()
}

fn write(rig: &mut Rig, stream: &UnixStream, bytes: usize) {
    rig.write(stream, &vec![7; bytes]);
}

#[test]
fn an_end_of_sending_is_told_as_that() {
    let mut rig = Rig::new();
    let stream = rig.open(1000);
    write(&mut rig, &stream, 10);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(told(&mut rig), [SEND]);
    drop(stream);
    assert_eq!(told(&mut rig), [SEND | RECEIVE]);
}

#[test]
fn a_stream_that_is_closed_as_a_whole_is_told_so_at_once() {
    let mut rig = Rig::new();
    let stream = rig.open(1000);
    write(&mut rig, &stream, 10);
    drop(stream);
    assert_eq!(told(&mut rig), [SEND | RECEIVE]);
}

#[test]
fn also_where_its_end_is_read_before_it_is_noticed() {
    let mut rig = Rig::new();
    let stream = rig.open(1000);
    write(&mut rig, &stream, QUANTUM_BYTES);
    rig.notice();
    drop(stream);
    while rig.serve_once() {}
    assert_eq!(told(&mut rig), [SEND | RECEIVE]);
}
