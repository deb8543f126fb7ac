//! A stand-in for the host part: it speaks the wire, and decides nothing. Documentation addresses lead to
//! servers on its loopback; some of them to an answer that a real network rarely gives.

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::{Request, Status, frame};
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

pub struct StandIn {
    directory: PathBuf,
    path: String,
}

/// What comes of a server that resets its connections.
pub const PART_BYTES: usize = 100_000;

/// Ports of servers on the loopback outside, which every case has.
pub struct Servers {
    /// Sends back what it gets: at once, and after the client's end what is left.
    pub echo: u16,
    /// Reads until the end, and then sends it all.
    pub late_echo: u16,
    pub udp_echo: u16,
}

impl Servers {
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            echo: tcp(|stream| _ = io::copy(&mut &stream, &mut &stream))?,
            late_echo: tcp(|mut stream| {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                let _ = stream.write_all(&bytes);
            })?,
            udp_echo: udp()?,
        })
    }

    pub fn to_text(&self) -> String {
        format!("{},{},{}", self.echo, self.late_echo, self.udp_echo)
    }

    pub fn from_text(text: &str) -> Self {
        let ports: Vec<u16> = text
            .split(',')
            .map(|port| port.parse().expect("a port"))
            .collect();
        Self {
            echo: ports[0],
            late_echo: ports[1],
            udp_echo: ports[2],
        }
    }
}

fn tcp(serve: impl Fn(TcpStream) + Copy + Send + 'static) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}

fn udp() -> io::Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let port = socket.local_addr()?.port();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..count], from);
        }
    });
    Ok(port)
}

impl StandIn {
    pub fn start() -> Self {
        let directory =
            std::env::temp_dir().join(format!("netd-{}-{:x}", std::process::id(), unique()));
        std::fs::create_dir(&directory).expect("a directory");
        let path = directory.join("host.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        thread::spawn(move || accept(&listener));
        let path = path.to_str().expect("UTF-8").to_owned();
        Self { directory, path }
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn accept(listener: &UnixListener) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || _ = serve(stream));
    }
}

/// Until it is killed, for every user.
pub fn serve_at(path: &str) -> ExitCode {
    let listener = UnixListener::bind(path).expect("a socket");
    std::fs::set_permissions(path, Permissions::from_mode(0o666)).expect("its mode");
    accept(&listener);
    ExitCode::SUCCESS
}

fn unique() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}

/// What the rules allow, and the host part does not.
const DENIED: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));

fn serve(mut stream: UnixStream) -> io::Result<()> {
    let mut bytes = Vec::new();
    let request = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
        match Request::decode(&bytes) {
            Ok(None) => {}
            Ok(Some((request, _))) => break request,
            Err(_) => return answer(&mut stream, Status::Malformed),
        }
    };
    match request {
        Request::Flow {
            protocol: Protocol::Tcp,
            address,
            port,
            ..
        } => serve_tcp(stream, address, port),
        Request::Flow {
            protocol: Protocol::Udp,
            address,
            port,
            ..
        } => serve_udp(stream, address, port),
        Request::Dns => serve_names(stream),
    }
}

fn answer(stream: &mut UnixStream, status: Status) -> io::Result<()> {
    stream.write_all(&[status.to_byte()])
}

/// 198.18.0.1 is this host; 203.0.113.0/24 (documentation) and 2001:db8::/32 are its servers too.
fn place(address: IpAddr) -> IpAddr {
    let is_here = match address {
        IpAddr::V4(it) => it.octets()[..2] == [198, 18] || it.octets()[..3] == [203, 0, 113],
        IpAddr::V6(it) => it.segments()[..2] == [0x2001, 0xdb8],
    };
    if is_here {
        Ipv4Addr::LOCALHOST.into()
    } else {
        address
    }
}

fn serve_tcp(mut stream: UnixStream, address: IpAddr, port: u16) -> io::Result<()> {
    match address {
        address if address == DENIED => return answer(&mut stream, Status::DeniedByHost),
        IpAddr::V4(it) if it.octets() == [203, 0, 113, 3] => {
            return answer(&mut stream, Status::HostUnreachable);
        }
        IpAddr::V4(it) if it.octets() == [203, 0, 113, 4] => return Ok(()),
        IpAddr::V4(it) if it.octets() == [203, 0, 113, 6] => {
            return answer(&mut stream, Status::TimedOut);
        }
        IpAddr::V4(it) if it.octets() == [203, 0, 113, 5] => return reset(&mut stream),
        _ => {}
    }
    let Ok(there) = TcpStream::connect(SocketAddr::new(place(address), port)) else {
        return answer(&mut stream, Status::ConnectionRefused);
    };
    answer(&mut stream, Status::Ok)?;
    let (from, to) = (stream.try_clone()?, there.try_clone()?);
    let up = thread::spawn(move || {
        let _ = io::copy(&mut &from, &mut &to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut &there, &mut &stream);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = up.join();
    Ok(())
}

/// As after a reset of the other side: closed as a whole, behind what had come.
fn reset(stream: &mut UnixStream) -> io::Result<()> {
    answer(stream, Status::Ok)?;
    stream.write_all(&[7; PART_BYTES])
}

fn serve_udp(mut stream: UnixStream, address: IpAddr, port: u16) -> io::Result<()> {
    if address == DENIED {
        return answer(&mut stream, Status::DeniedByHost);
    }
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(SocketAddr::new(place(address), port))?;
    answer(&mut stream, Status::Ok)?;
    let (mut to, from) = (stream.try_clone()?, socket.try_clone()?);
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(count) = from.recv(&mut buffer) {
            let framed = frame(&buffer[..count]).expect("a datagram fits");
            if to.write_all(&framed).is_err() {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    while let Ok(message) = read_frame(&mut stream) {
        socket.send(&message)?;
    }
    Ok(())
}

/// A name says which address it has, of IPv4 only: `a-203-0-113-1.example`; others do not exist.
fn serve_names(mut stream: UnixStream) -> io::Result<()> {
    answer(&mut stream, Status::Ok)?;
    while let Ok(question) = read_frame(&mut stream) {
        let reply = names::reply(&question);
        stream.write_all(&frame(&reply).expect("short"))?;
    }
    Ok(())
}

fn read_frame(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

mod names {
    /// The header and question of `question`, and an A record where it asks for one.
    pub fn reply(question: &[u8]) -> Vec<u8> {
        let end = 12
            + question[12..]
                .iter()
                .position(|byte| *byte == 0)
                .expect("a name")
            + 1;
        let is_a = question[end..end + 2] == [0, 1];
        let label = &question[13..13 + usize::from(question[12])];
        let text = std::str::from_utf8(label).expect("ASCII");
        let numbers: Vec<u8> = text
            .split('-')
            .filter_map(|part| part.parse().ok())
            .collect();
        let mut reply = question[..end + 4].to_vec();
        reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
        match numbers[..] {
            // As many records as the last number says.
            [.., count] if text.starts_with("many") => {
                for index in 0..count {
                    record(&mut reply, [203, 0, 113, index]);
                }
                reply[7] = count;
            }
            [a, b, c, d] if is_a => {
                record(&mut reply, [a, b, c, d]);
                reply[7] = 1;
            }
            [_, _, _, _] => {}
            _ => reply[3] = 0x83,
        }
        reply
    }

    fn record(reply: &mut Vec<u8>, address: [u8; 4]) {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address);
    }
}
