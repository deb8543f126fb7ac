//! What programs see. Servers are on the loopback outside the namespace, at 203.0.113.1 and 2001:db8::1.

use crate::host::{PART_BYTES, Servers};
use crate::inside::Netd;
use std::io::{self, ErrorKind, Read, Write};
use std::iter;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::Duration;

pub const POLICY: &str = r#"{
  "allow": [
    { "cidr": "203.0.113.0/25", "private": true },
    { "cidr": "2001:db8::/32", "private": true },
    { "host": "*.example", "private": true }
  ],
  "deny": [{ "host": "bad.example" }, { "cidr": "203.0.113.66/32" }]
}"#;

pub type Case = fn(&Servers, &mut Netd);

pub const ALL: &[(&str, Case)] = &[
    ("bytes come back whole over both families", echoes),
    ("a client that has sent all still reads", half_closes),
    ("a connection that is cut is reset behind what came", resets),
    ("connect says that nobody listens", says_refused),
    ("connect says that a policy denies", says_denied),
    (
        "connect says what the host part could not reach",
        says_unreachable,
    ),
    ("a name that rules allow leads to its address", resolves),
    ("a name that no rule allows is refused", refuses_names),
    (
        "an answer that is too long for UDP comes over TCP",
        resolves_over_tcp,
    ),
    ("datagrams come back, of any length", echoes_datagrams),
    ("a datagram that goes nowhere is refused", refuses_datagrams),
    ("hundreds of connections at once and many in turn", crowds),
    (
        "a reader that waits gets everything",
        waits_for_slow_readers,
    ),
    (
        "connections end with netd, and new ones work",
        ends_with_netd,
    ),
    ("without a host part everything fails at once", fails_alone),
    ("packets of any bytes are survived", survives_packets),
];

const SERVERS: [&str; 2] = ["203.0.113.1", "2001:db8::1"];

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// Bytes that do not repeat soon.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
    .take(count)
    .collect()
}

fn resets(_: &Servers, _: &mut Netd) {
    let mut stream = TcpStream::connect(at("203.0.113.5", 1)).expect("connected");
    thread::sleep(Duration::from_millis(100));
    let mut part = [0; PART_BYTES];
    stream.read_exact(&mut part).expect("what came");
    let error = stream.read(&mut [0; 1]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn exchange(stream: &TcpStream, sent: &[u8]) -> io::Result<Vec<u8>> {
    thread::scope(|scope| {
        scope.spawn(|| {
            (&mut &*stream).write_all(sent).expect("sent");
            stream.shutdown(Shutdown::Write).expect("ended");
        });
        let mut received = Vec::new();
        (&mut &*stream).read_to_end(&mut received)?;
        Ok(received)
    })
}

fn echoes(servers: &Servers, _: &mut Netd) {
    for address in SERVERS {
        for count in [0, 1, 1000, 5_000_000] {
            let stream = TcpStream::connect(at(address, servers.echo)).expect(address);
            let sent = bytes(count);
            assert!(
                exchange(&stream, &sent).expect(address) == sent,
                "{address}, {count} bytes"
            );
        }
    }
}

fn half_closes(servers: &Servers, _: &mut Netd) {
    for address in SERVERS {
        let stream = TcpStream::connect(at(address, servers.late_echo)).expect(address);
        let sent = bytes(3_000_000);
        assert!(
            exchange(&stream, &sent).expect(address) == sent,
            "{address}"
        );
    }
}

fn connect_error(address: &str, port: u16) -> io::Error {
    TcpStream::connect(at(address, port)).expect_err(address)
}

fn says_refused(_: &Servers, _: &mut Netd) {
    for address in SERVERS {
        let kind = connect_error(address, 1).kind();
        assert_eq!(kind, ErrorKind::ConnectionRefused, "{address}");
    }
    // The resolver serves nothing else.
    let kind = connect_error("198.18.0.3", 80).kind();
    assert_eq!(kind, ErrorKind::ConnectionRefused);
}

fn says_denied(servers: &Servers, _: &mut Netd) {
    for address in [
        "203.0.113.66",
        "203.0.113.129",
        "8.8.8.8",
        "198.18.0.1",
        "203.0.113.2",
    ] {
        let code = connect_error(address, servers.echo).raw_os_error();
        assert_eq!(code, Some(libc::ECONNREFUSED), "{address}");
    }
    let mapped = connect_error("::ffff:203.0.113.66", servers.echo);
    assert_eq!(mapped.raw_os_error(), Some(libc::ECONNREFUSED));
    for address in ["2001:db9::1", "fd00:ec2::254", "64:ff9b::cb00:7101"] {
        let code = connect_error(address, servers.echo).raw_os_error();
        assert_eq!(code, Some(libc::EACCES), "{address}");
    }
}

fn says_unreachable(_: &Servers, _: &mut Netd) {
    let host = connect_error("203.0.113.3", 80).raw_os_error();
    assert_eq!(host, Some(libc::EHOSTUNREACH));
    let silent = connect_error("203.0.113.6", 80).raw_os_error();
    assert_eq!(silent, Some(libc::EHOSTUNREACH));
    // The host part hangs up.
    let network = connect_error("203.0.113.4", 80).raw_os_error();
    assert_eq!(network, Some(libc::ENETUNREACH));
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 80).to_socket_addrs()?.map(|it| it.ip()).collect())
}

fn resolves(servers: &Servers, _: &mut Netd) {
    // Denied as an address, allowed by name.
    let name = "a-203-0-113-200.example";
    assert_eq!(
        resolve(name).expect(name),
        [IpAddr::from([203, 0, 113, 200])]
    );
    let stream = TcpStream::connect((name, servers.echo)).expect(name);
    assert_eq!(exchange(&stream, b"hello").expect(name), b"hello");
    let denied = connect_error("203.0.113.201", servers.echo).raw_os_error();
    assert_eq!(denied, Some(libc::ECONNREFUSED));
}

fn refuses_names(_: &Servers, _: &mut Netd) {
    for name in [
        "a-203-0-113-1.other",
        "bad.example",
        "a.b.example",
        "none.example",
    ] {
        assert!(resolve(name).is_err(), "{name}");
    }
}

fn resolves_over_tcp(_: &Servers, _: &mut Netd) {
    let addresses = resolve("many-200.example").expect("addresses");
    assert_eq!(addresses.len(), 200);
}

fn udp_to(address: &str, port: u16) -> UdpSocket {
    let any = if address.contains(':') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any).expect("a socket");
    socket.connect(at(address, port)).expect("connected");
    socket
}

fn echoes_datagrams(servers: &Servers, _: &mut Netd) {
    for address in SERVERS {
        let socket = udp_to(address, servers.udp_echo);
        for count in [0, 1, 1400, 65_400] {
            let sent = bytes(count);
            socket.send(&sent).expect("sent");
            let mut received = vec![0; 65_536];
            let length = socket.recv(&mut received).expect("a datagram");
            assert!(received[..length] == sent, "{address}, {count} bytes");
        }
    }
}

fn refuses_datagrams(_: &Servers, _: &mut Netd) {
    let error = |address: &str| {
        let socket = udp_to(address, 1);
        let wait = Some(Duration::from_secs(1));
        socket.set_read_timeout(wait).expect("a limit");
        // The host's kernel counts the ICMP errors it sends in a second, and leaves out those beyond its limit.
        let errors = iter::repeat_with(|| {
            let sent = socket.send(b"x");
            let answer = sent.and_then(|_| socket.recv(&mut [0; 10]));
            answer.expect_err("refused")
        });
        let mut told = errors
            .take(30)
            .filter(|error| error.kind() != ErrorKind::WouldBlock);
        let error = told.next().expect("an error");
        error.raw_os_error().expect("a number")
    };
    assert_eq!(error("203.0.113.1"), libc::ECONNREFUSED);
    assert_eq!(error("203.0.113.66"), libc::ECONNREFUSED);
    assert_eq!(error("203.0.113.2"), libc::ECONNREFUSED, "by the host part");
    assert_eq!(error("2001:db9::1"), libc::EACCES);
}

fn crowds(servers: &Servers, _: &mut Netd) {
    let connect = || TcpStream::connect(at(SERVERS[0], servers.echo)).expect("a connection");
    let mut streams: Vec<_> = (0..400).map(|_| connect()).collect();
    for (index, stream) in streams.iter_mut().enumerate() {
        stream
            .write_all(&(index as u32).to_be_bytes())
            .expect("sent");
    }
    for (index, stream) in streams.iter_mut().enumerate() {
        let mut number = [0; 4];
        stream.read_exact(&mut number).expect("received");
        assert_eq!(u32::from_be_bytes(number), index as u32);
    }
    drop(streams);
    for _ in 0..2000 {
        let stream = connect();
        assert_eq!(exchange(&stream, b"x").expect("an echo"), b"x");
    }
}

fn waits_for_slow_readers(servers: &Servers, _: &mut Netd) {
    let mut stream = TcpStream::connect(at(SERVERS[0], servers.echo)).expect("a connection");
    let sent = bytes(30_000_000);
    let mut writer = stream.try_clone().expect("a clone");
    let copy = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&copy).expect("sent");
        writer.shutdown(Shutdown::Write).expect("ended");
    });
    // Nothing can be lost while every buffer on the way is full.
    let mut received = Vec::new();
    let mut part = vec![0; 1 << 20];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        received.extend_from_slice(&part[..count]);
        if received.len() < 4 << 20 {
            thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    writing.join().expect("written");
    assert!(received == sent);
}

fn ends_with_netd(servers: &Servers, netd: &mut Netd) {
    let mut streams = SERVERS.map(|address| {
        let mut stream = TcpStream::connect(at(address, servers.echo)).expect(address);
        stream.write_all(b"x").expect("sent");
        stream.read_exact(&mut [0]).expect("received");
        stream
    });
    netd.replace();
    for stream in &mut streams {
        let error = stream.read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    echoes(servers, netd);
}

fn fails_alone(_: &Servers, netd: &mut Netd) {
    netd.separate();
    for _ in 0..2 {
        let code = connect_error(SERVERS[0], 80).raw_os_error();
        assert_eq!(code, Some(libc::ENETUNREACH));
        assert!(resolve("a-203-0-113-1.example").is_err());
    }
}

/// As a program with raw sockets sends them: whatever the header says.
fn survives_packets(servers: &Servers, netd: &mut Netd) {
    // SAFETY: the call takes no memory.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW) };
    assert!(socket >= 0, "{}", io::Error::last_os_error());
    let noise = bytes(2_000_000);
    for (index, chunk) in noise.chunks(97).enumerate() {
        let mut packet = chunk.to_vec();
        let length = packet.len() as u16;
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        let fragment = if index % 7 == 0 { packet[6] } else { 0 };
        packet[6..8].fill(fragment);
        packet[9] = [1, 6, 17, 58, 6, 17, packet[9]][index % 7];
        packet[12..16].copy_from_slice(&[198, 18, 0, 2]);
        packet[16..20].copy_from_slice(&[203, 0, 113, 1]);
        if index % 3 == 0 && packet.len() > 40 {
            packet[22..24].copy_from_slice(&servers.echo.to_be_bytes());
            packet[33] = [2, 16, 4, 1, 18, 3, 255, 0][index % 8];
        }
        let mut to: libc::sockaddr_in = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: 0,
            sin_addr: libc::in_addr {
                s_addr: u32::from_ne_bytes([203, 0, 113, 1]),
            },
            sin_zero: [0; 8],
        };
        // SAFETY: packet and address outlive the call.
        unsafe {
            libc::sendto(
                socket,
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw mut to).cast(),
                size_of::<libc::sockaddr_in>() as u32,
            )
        };
    }
    echoes(servers, netd);
}
