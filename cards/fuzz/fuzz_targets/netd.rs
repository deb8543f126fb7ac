//! netd between a hostile program and a hostile host part: packets of any kind, some of which fit connections
//! that are open, and any bytes on any stream. It never panics, and what it gives to the guest is IP.
#![no_main]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::rc::Rc;

use arbitrary::Arbitrary;
use cloister_egress_policy::Policy;
use libfuzzer_sys::fuzz_target;

const POLICY: &str = r#"{"allow":[{"cidr":"1.2.3.0/24"},{"cidr":"2600::/16"},{"host":"**"}]}"#;
const BUFFER_BYTES: usize = 4 << 20;
const VNET_HEADER_BYTES: usize = 10;
const MAX_STEPS: usize = 200;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Packet(Packet<'a>),
    Raw(&'a [u8]),
    /// The answer byte first, on the stream of this number.
    Host(u8, &'a [u8]),
    HostEnds(u8),
    HostReads(u8),
}

#[derive(Arbitrary, Debug)]
struct Packet<'a> {
    is_v6: bool,
    is_udp: bool,
    source_port: u8,
    to: To,
    flags: u8,
    /// With the numbers that netd expects next, else these.
    fits: bool,
    sequence: u32,
    acknowledged: u32,
    window: u16,
    payload: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum To {
    Allowed,
    Denied,
    Resolver,
}

/// What netd said last over TCP: its number, and ours that it expects.
#[derive(Clone, Copy, Default)]
struct Numbers {
    sequence: u32,
    acknowledged: u32,
}

fuzz_target!(|steps: Vec<Step>| {
    let (device, guest) = UnixDatagram::pair().expect("sockets");
    for end in [&device, &guest] {
        end.set_nonblocking(true).expect("nonblocking");
    }
    let streams: Rc<RefCell<Vec<UnixStream>>> = Rc::default();
    let opened = Rc::clone(&streams);
    let dial = move || {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        opened.borrow_mut().push(theirs);
        Ok(OwnedFd::from(ours))
    };
    let policy = Policy::from_json(POLICY.as_bytes()).expect("a policy");
    let mut turn =
        cloister_netd::steps(device.into(), policy, Box::new(dial), BUFFER_BYTES).expect("netd");
    let mut numbers = Numbers::default();
    for step in steps.iter().take(MAX_STEPS) {
        take(step, &guest, &streams.borrow(), numbers);
        turn().expect("a turn");
        drain(&guest, &mut numbers);
    }
});

fn take(step: &Step, guest: &UnixDatagram, streams: &[UnixStream], numbers: Numbers) {
    let at = |number: &u8| streams.get(usize::from(*number) % streams.len().max(1));
    match step {
        Step::Packet(packet) => _ = send(guest, &packet.encode(numbers)),
        Step::Raw(bytes) => _ = send(guest, bytes),
        Step::Host(number, bytes) => _ = at(number).map(|mut stream| stream.write(bytes)),
        Step::HostEnds(number) => _ = at(number).map(|stream| stream.shutdown(Shutdown::Both)),
        Step::HostReads(number) => {
            _ = at(number).map(|mut stream| stream.read(&mut vec![0; 70_000]));
        }
    }
}

fn send(guest: &UnixDatagram, packet: &[u8]) -> std::io::Result<usize> {
    guest.send(&[&[0; VNET_HEADER_BYTES], packet].concat())
}

fn drain(guest: &UnixDatagram, numbers: &mut Numbers) {
    let mut buffer = vec![0; 70_000];
    while let Ok(count) = guest.recv(&mut buffer) {
        let packet = &buffer[VNET_HEADER_BYTES..count];
        let (header, protocol) = match packet[0] >> 4 {
            4 => (20, packet[9]),
            6 => (40, packet[6]),
            _ => panic!("neither IPv4 nor IPv6"),
        };
        if protocol == 6 {
            let segment = &packet[header..];
            let number = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().expect("4"));
            let is_opening = segment[13] & 2 != 0;
            let data = segment.len() - usize::from(segment[12] >> 4) * 4;
            *numbers = Numbers {
                sequence: number(8),
                acknowledged: number(4)
                    .wrapping_add(data as u32)
                    .wrapping_add(u32::from(is_opening)),
            };
        }
    }
}

impl Packet<'_> {
    fn encode(&self, numbers: Numbers) -> Vec<u8> {
        let transport = if self.is_udp {
            self.datagram()
        } else {
            self.segment(numbers)
        };
        let protocol = if self.is_udp { 17 } else { 6 };
        let length = transport.len() as u16;
        let header = if self.is_v6 {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([protocol, 64]);
            header.extend(cloister_egress_policy::GUEST_ADDRESS_V6.octets());
            header.extend(match self.to {
                To::Allowed => [0x26, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                To::Denied => [0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                To::Resolver => cloister_egress_policy::RESOLVER_ADDRESS_V6.octets(),
            });
            header
        } else {
            let mut header = vec![0x45, 0];
            header.extend((20 + length).to_be_bytes());
            header.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
            header.extend(cloister_egress_policy::GUEST_ADDRESS.octets());
            header.extend(match self.to {
                To::Allowed => [1, 2, 3, 4],
                To::Denied => [9, 9, 9, 9],
                To::Resolver => cloister_egress_policy::RESOLVER_ADDRESS.octets(),
            });
            header
        };
        [header, transport].concat()
    }

    fn ports(&self) -> [u8; 4] {
        let port = if matches!(self.to, To::Resolver) {
            53
        } else {
            80
        };
        [4, self.source_port & 3, 0, port]
    }

    fn datagram(&self) -> Vec<u8> {
        let length = 8 + self.payload.len() as u16;
        [
            &self.ports()[..],
            &length.to_be_bytes(),
            &[0, 0],
            self.payload,
        ]
        .concat()
    }

    fn segment(&self, numbers: Numbers) -> Vec<u8> {
        let (sequence, acknowledged) = if self.fits {
            (numbers.sequence, numbers.acknowledged)
        } else {
            (self.sequence, self.acknowledged)
        };
        let mut segment = self.ports().to_vec();
        segment.extend(sequence.to_be_bytes());
        segment.extend(acknowledged.to_be_bytes());
        segment.extend([5 << 4, self.flags]);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(self.payload);
        segment
    }
}
