//! What a guest, a host, a keeper and a VMM may do, one step each.

use std::net::Shutdown;

use arbitrary::Arbitrary;
use cloister_vsock::packet::Header;
use serde_json::json;

use crate::card::{CardUnderTest, GUEST_CID};
use crate::host::{FULL_PORT, SERVED_PORT};

const FILLER: [u8; 0x4000] = [7; 0x4000];

#[derive(Arbitrary, Debug)]
pub enum Peer {
    Parent,
    Host,
    Other(u64),
}

#[derive(Arbitrary, Debug)]
pub enum Port {
    Served,
    Full,
    Dead,
    /// A port that the card gave to a host client.
    Calling(u8),
    Other(u32),
}

#[derive(Arbitrary, Debug)]
pub struct Packet {
    is_other_guest: bool,
    peer: Peer,
    port: Port,
    guest_port: u8,
    kind: u8,
    operation: u8,
    flags: u32,
    credit: (u32, u32),
    payload: u16,
    lie: Option<u32>,
}

#[derive(Arbitrary, Debug)]
pub struct RawDescriptor {
    /// Below 1 MiB, where memory is, unless the top bits say otherwise.
    address: u64,
    len: u32,
    flags: u8,
    next: u16,
}

#[derive(Arbitrary, Debug)]
pub enum Action {
    Send(Packet),
    SendRaw(RawDescriptor),
    PostBuffers(u8),
    PostRaw(RawDescriptor),
    Poke {
        at: u16,
        value: u16,
    },
    Ring {
        queue: u8,
    },
    Poll,
    Dial {
        guest_port: u8,
    },
    DialRaw {
        line: [u8; 20],
    },
    Accept,
    Write {
        which: u8,
        bytes: u16,
    },
    Read {
        which: u8,
        bytes: u16,
    },
    ShutDown {
        which: u8,
        how: u8,
    },
    Close {
        which: u8,
    },
    SetPorts {
        is_parent_open: bool,
        is_guest_open: bool,
    },
    SetLimits {
        connections: u8,
        per_second: u32,
        buffer_bytes: u32,
    },
    ListConnections,
    ReplaceVmm,
}

impl Action {
    pub fn perform(&self, card: &mut CardUnderTest) {
        match self {
            Self::Send(packet) => {
                let payload = &FILLER[..usize::from(packet.payload) % FILLER.len()];
                let header = packet.header(payload.len());
                card.driver.send(&header, payload);
            }
            Self::SendRaw(it) => {
                let flags = u16::from(it.flags & 7);
                card.driver.send_raw(it.place(), it.len, flags, it.next);
            }
            Self::PostBuffers(count) => (0..count % 32).for_each(|_| card.driver.post_buffer()),
            Self::PostRaw(it) => {
                let flags = u16::from(it.flags & 7);
                card.driver.post_raw(it.place(), it.len, flags, it.next);
            }
            Self::Poke { at, value } => card.driver.poke(*at, *value),
            Self::Ring { queue } => card.ring(u16::from(queue % 3)),
            Self::Poll => card.poll(),
            Self::ReplaceVmm => card.replace_vmm(),
            Self::ListConnections => drop(card.ask(&json!({ "request": "connections" }))),
            Self::SetPorts {
                is_parent_open,
                is_guest_open,
            } => {
                let ports = |is_open: bool| if is_open { "all" } else { "7001" };
                let (parent, guest) = (ports(*is_parent_open), ports(*is_guest_open));
                card.set_ports(parent, guest);
            }
            Self::SetLimits {
                connections,
                per_second,
                buffer_bytes,
            } => {
                card.set_limits(
                    u64::from(*connections),
                    *per_second,
                    u64::from(*buffer_bytes),
                );
            }
            host => host.perform_on_host(card),
        }
    }

    fn perform_on_host(&self, card: &mut CardUnderTest) {
        let host = &mut card.host;
        match self {
            Self::Dial { guest_port } => host.dial(format!("CONNECT {guest_port}\n").as_bytes()),
            Self::DialRaw { line } => host.dial(line),
            Self::Accept => drop(host.accept()),
            Self::Write { which, bytes } => {
                host.write(
                    usize::from(*which),
                    &FILLER[..usize::from(*bytes) % FILLER.len()],
                );
            }
            Self::Read { which, bytes } => {
                host.read(usize::from(*which), usize::from(*bytes));
            }
            Self::ShutDown { which, how } => {
                let hows = [Shutdown::Read, Shutdown::Write, Shutdown::Both];
                host.shut_down(usize::from(*which), hows[usize::from(how % 3)]);
            }
            Self::Close { which } => host.close(usize::from(*which)),
            _ => {}
        }
    }
}

impl Packet {
    fn header(&self, payload: usize) -> Header {
        Header {
            src_cid: GUEST_CID + u64::from(self.is_other_guest),
            dst_cid: match self.peer {
                Peer::Parent => 3,
                Peer::Host => 2,
                Peer::Other(cid) => cid,
            },
            src_port: u32::from(self.guest_port % 4), // few, so that they meet
            dst_port: match self.port {
                Port::Served => SERVED_PORT,
                Port::Full => FULL_PORT,
                Port::Dead => FULL_PORT + 1,
                Port::Calling(number) => (1 << 30) + u32::from(number),
                Port::Other(port) => port,
            },
            len: self.lie.unwrap_or(payload as u32),
            kind: if self.kind < 250 {
                1
            } else {
                u16::from(self.kind)
            },
            operation: u16::from(self.operation % 9),
            flags: self.flags,
            buf_alloc: self.credit.0,
            fwd_cnt: self.credit.1,
        }
    }
}

impl RawDescriptor {
    fn place(&self) -> u64 {
        let is_anywhere = self.address >> 60 == 0xf;
        if is_anywhere {
            self.address
        } else {
            self.address % 0x10_0000
        }
    }
}
