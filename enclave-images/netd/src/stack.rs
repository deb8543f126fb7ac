//! One TCP connection of the guest, ended here: smoltcp with one socket, whose address is the
//! destination that the program dialled.

use crate::addresses::SEGMENT_BYTES;
use crate::packet::Pair;
use crate::tun::Tun;
use crate::upstream::{Received, Upstream};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::phy::{RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};

pub struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    mtu: usize,
    /// The guest will send no more, and the other side knows.
    is_end_passed_on: bool,
    /// The other side sends no more.
    is_drained: bool,
    /// The other side takes no more, without an orderly end.
    is_cut: bool,
}

impl Stack {
    /// Has a closed socket wait for the segment that opens the connection of `pair`. `None` for a destination that
    /// nothing can listen at.
    pub fn listen(
        pair: &Pair,
        mut socket: Socket<'static>,
        tun: &mut Tun,
        now: Instant,
    ) -> Option<Self> {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = RandomState::new().hash_one(0);
        let mtu = mtu(pair);
        let packet = None;
        let wire = &mut Wire { packet, mtu, tun };
        let mut interface = Interface::new(config, wire, now);
        let address = IpAddress::from(pair.destination.ip());
        // Of length 0, so that the guest is on the same network.
        interface.update_ip_addrs(|list| _ = list.push(IpCidr::new(address, 0)));
        socket.listen(pair.destination).ok()?;
        let mut sockets = SocketSet::new(vec![SocketStorage::EMPTY]);
        let socket = sockets.add(socket);
        Some(Self {
            interface,
            sockets,
            socket,
            mtu,
            is_end_passed_on: false,
            is_drained: false,
            is_cut: false,
        })
    }

    /// Takes a packet of the guest; what it leads to is sent by [`Self::transmit`].
    pub fn receive(&mut self, packet: &[u8], tun: &mut Tun, now: Instant) {
        let wire = &mut self.wire(Some(packet), tun);
        self.interface
            .poll_ingress_single(now, wire, &mut self.sockets);
    }

    /// Sends every packet that is due; returns when the next one is, if nothing happens before.
    pub fn transmit(&mut self, tun: &mut Tun, now: Instant) -> Option<Instant> {
        let wire = &mut self.wire(None, tun);
        while self.interface.poll_egress(now, wire, &mut self.sockets) != PollResult::None {}
        self.interface.poll_at(now, &self.sockets)
    }

    /// Moves bytes both ways until neither side takes or has more.
    ///
    /// # Errors
    /// When the stream is broken, or the other side has reset the connection, and the guest has what came before:
    /// its connection is then reset.
    pub fn relay(&mut self, upstream: &mut Upstream) -> io::Result<()> {
        if !self.is_cut {
            self.is_cut = self.relay_up(upstream).is_err();
        }
        if !self.is_drained && self.relay_down(upstream).is_err() {
            self.is_cut = true;
            self.is_drained = true;
        }
        let has_arrived = self.is_drained && self.socket().send_queue() == 0;
        if self.is_cut && (has_arrived || self.is_closed()) {
            self.socket().abort();
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    fn relay_up(&mut self, upstream: &mut Upstream) -> io::Result<()> {
        while upstream.is_writable() && self.socket().can_recv() {
            self.read(|bytes| match upstream.send(bytes) {
                Ok(sent) => (sent, Ok(())),
                Err(error) => (0, Err(error)),
            })
            .unwrap_or(Ok(()))?;
        }
        if self.has_ended() && !self.is_end_passed_on {
            upstream.end();
            self.is_end_passed_on = true;
        }
        Ok(())
    }

    fn relay_down(&mut self, upstream: &mut Upstream) -> io::Result<()> {
        while upstream.is_readable() && self.socket().can_send() {
            let mut is_end = false;
            self.write(|buffer| match upstream.receive(buffer) {
                Ok(Received::Bytes(count)) => (count, Ok(())),
                Ok(Received::Nothing) => (0, Ok(())),
                Ok(Received::End) => {
                    is_end = true;
                    (0, Ok(()))
                }
                Err(error) => (0, Err(error)),
            })
            .unwrap_or(Ok(()))?;
            if is_end {
                self.is_drained = true;
                // Once the guest has ended its side, an end is all that can be told.
                self.is_cut |= !self.is_end_passed_on && upstream.is_closed();
                if !self.is_cut {
                    self.socket().close();
                }
                break;
            }
        }
        Ok(())
    }

    /// Shows the bytes that came next, without a gap; `take` says how many it has taken.
    pub fn read<R>(&mut self, take: impl FnOnce(&mut [u8]) -> (usize, R)) -> Option<R> {
        self.socket().recv(take).ok()
    }

    /// Shows room for bytes; `fill` says how many it has written.
    pub fn write<R>(&mut self, fill: impl FnOnce(&mut [u8]) -> (usize, R)) -> Option<R> {
        self.socket().send(fill).ok()
    }

    /// Sends nothing more than what is written.
    pub fn close(&mut self) {
        self.socket().close();
    }

    /// Whether the guest has sent its last byte, and it was taken.
    pub fn has_ended(&mut self) -> bool {
        let socket = self.socket();
        let is_ended = matches!(
            socket.state(),
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait
        );
        is_ended && socket.recv_queue() == 0
    }

    /// Whether the guest's side is closed. Nobody waits for stray packets: there is no network between.
    pub fn is_closed(&mut self) -> bool {
        matches!(
            self.socket().state(),
            State::Closed | State::Listen | State::TimeWait
        )
    }

    /// Whether nothing more can happen.
    pub fn is_over(&mut self) -> bool {
        self.is_closed() && self.socket().recv_queue() == 0
    }

    /// What may serve another connection.
    pub fn into_socket(mut self) -> Socket<'static> {
        let smoltcp::socket::Socket::Tcp(socket) = self.sockets.remove(self.socket);
        socket
    }

    fn wire<'a>(&self, packet: Option<&'a [u8]>, tun: &'a mut Tun) -> Wire<'a> {
        let mtu = self.mtu;
        Wire { packet, mtu, tun }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }
}

/// Of packets with the longest segments.
fn mtu(pair: &Pair) -> usize {
    let ip_header = if pair.destination.is_ipv4() { 20 } else { 40 };
    ip_header + 20 + SEGMENT_BYTES
}

/// The device as smoltcp sees it: at most one packet to receive.
struct Wire<'a> {
    packet: Option<&'a [u8]>,
    mtu: usize,
    tun: &'a mut Tun,
}

impl Device for Wire<'_> {
    type RxToken<'b>
        = Incoming<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Outgoing<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let packet = self.packet.take()?;
        Some((Incoming(packet), Outgoing(self.tun)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(self.tun))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities
    }
}

struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

struct Outgoing<'a>(&'a mut Tun);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        self.0.send_with(length, fill)
    }
}
