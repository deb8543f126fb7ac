//! What a confined card can still do. Each act is tried in a process of its own: this test program,
//! started again.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use cloister_confine::sandbox::{self, Reach};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, SocketAddrUnix, SocketFlags, SocketType, bind, connect, ipproto,
    socket, socket_with,
};

const ACT: &str = "CLOISTER_CONFINE_ACT";
const DONE: i32 = 7;
/// Below the crate's directory, where tests run.
const BOUND: &str = "bound.sock";

/// How a process ended that confined itself and then did `act`.
fn confined(reach: &str, act: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "acts", "--nocapture", "--test-threads=1"])
        .env(ACT, format!("{reach} {act}"))
        .output()
        .unwrap()
        .status
}

/// No claim of its own: what the processes of the other tests do.
#[test]
fn acts() {
    let Ok(act) = std::env::var(ACT) else { return };
    let (reach, act) = act.split_once(' ').unwrap();
    let mut before = File::open("/proc/self/status").unwrap();
    let reach = match reach {
        "sockets" => Reach::UnixSockets,
        "vsock" => Reach::UnixAndVsock,
        "internet" => Reach::Internet,
        "parent" => Reach::Parent,
        "programs" => Reach::Programs,
        _ => Reach::Nothing,
    };
    sandbox::enter(reach, false).unwrap();
    let outcome = match act {
        "read" => before.read(&mut [0; 8]).map(drop),
        "nonblocking" => set_nonblocking(&before),
        "open" => File::open("/etc/passwd").map(drop),
        "connect" => UnixStream::connect("/nowhere").map(drop),
        "device" => rustix::io::ioctl_fionread(&before)
            .map(drop)
            .map_err(io::Error::from),
        // A socket is made and closed: nothing is bound or dialled.
        "vsock-stream" => vsock(SocketType::STREAM),
        "vsock-datagram" => vsock(SocketType::DGRAM),
        "datagram" => UnixDatagram::unbound().map(drop),
        "bind" => bind_to_file(),
        "dial" => dial(SocketType::STREAM, None),
        "send" => dial(SocketType::DGRAM, None),
        "ping" => dial(SocketType::DGRAM, Some(ipproto::ICMP)),
        "multipath" => dial(SocketType::STREAM, Some(ipproto::MPTCP)),
        "raw" => dial(SocketType::RAW, Some(ipproto::UDP)),
        "serve" => serve(),
        "thread" => std::thread::Builder::new().spawn(|| ()).map(drop),
        _ => Command::new("/bin/true").status().map(drop),
    };
    std::process::exit(if outcome.is_ok() { DONE } else { DONE + 1 });
}

fn vsock(kind: SocketType) -> std::io::Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    // A kernel without vsock refuses by itself, which is no death by the filter.
    let _ = socket_with(AddressFamily::VSOCK, kind, flags, None);
    Ok(())
}

fn bind_to_file() -> io::Result<()> {
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    Ok(bind(&socket, &SocketAddrUnix::new(BOUND)?)?)
}

/// To a port where something may listen or not: only whether that may be tried counts.
fn dial(kind: SocketType, protocol: Option<Protocol>) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, kind, protocol)?;
    match connect(&socket, &SocketAddr::from(([127, 0, 0, 1], 9))) {
        Ok(()) | Err(Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn set_nonblocking(file: &File) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(file, true)?)
}

fn serve() -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0)))?)
}

#[test]
fn the_card_of_the_network_dials_tcp_and_udp_and_nothing_else() {
    for act in ["dial", "send"] {
        assert_eq!(confined("internet", act).code(), Some(DONE), "{act}");
    }
    for act in [
        "connect",
        "datagram",
        "ping",
        "multipath",
        "raw",
        "vsock-stream",
    ] {
        let signal = confined("internet", act).signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{act}");
    }
    for act in ["open", "serve"] {
        assert_eq!(confined("internet", act).code(), Some(DONE + 1), "{act}");
    }
    assert_ne!(confined("internet", "start").code(), Some(DONE));
}

#[test]
fn a_part_in_the_guest_opens_streams_to_its_parent_and_nothing_else() {
    assert_eq!(confined("parent", "vsock-stream").code(), Some(DONE));
    assert_eq!(confined("parent", "read").code(), Some(DONE));
    for act in [
        "connect",
        "dial",
        "send",
        "datagram",
        "vsock-datagram",
        "thread",
        "raw",
    ] {
        let signal = confined("parent", act).signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{act}");
    }
    assert_eq!(confined("parent", "open").code(), Some(DONE + 1));
    assert_ne!(confined("parent", "start").code(), Some(DONE));
}

#[test]
fn a_part_in_the_guest_that_passes_on_clients_dials_tcp_and_udp_and_nothing_else() {
    for act in ["dial", "send", "read", "nonblocking"] {
        assert_eq!(confined("programs", act).code(), Some(DONE), "{act}");
    }
    for act in [
        "connect",
        "datagram",
        "ping",
        "multipath",
        "raw",
        "vsock-stream",
        "thread",
    ] {
        let signal = confined("programs", act).signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{act}");
    }
    for act in ["open", "serve"] {
        assert_eq!(confined("programs", act).code(), Some(DONE + 1), "{act}");
    }
    assert_ne!(confined("programs", "start").code(), Some(DONE));
}

#[test]
fn no_socket_can_be_made_that_is_a_file_or_that_takes_datagrams() {
    assert_eq!(confined("sockets", "bind").code(), Some(DONE + 1));
    assert!(!Path::new(BOUND).exists());
    let signal = confined("sockets", "datagram").signal();
    assert_eq!(signal, Some(libc::SIGSYS));
}

#[test]
fn what_is_open_can_be_used() {
    assert_eq!(confined("nothing", "read").code(), Some(DONE));
}

#[test]
fn no_file_can_be_opened() {
    for reach in ["nothing", "sockets"] {
        assert_eq!(confined(reach, "open").code(), Some(DONE + 1), "{reach}");
    }
}

#[test]
fn only_a_card_that_needs_to_may_connect_and_only_to_unix_sockets() {
    let there_is_none = Some(DONE + 1);
    assert_eq!(confined("sockets", "connect").code(), there_is_none);
    for (reach, act) in [
        ("nothing", "connect"),
        ("nothing", "dial"),
        ("sockets", "dial"),
    ] {
        let signal = confined(reach, act).signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{reach} {act}");
    }
}

#[test]
fn a_vsock_stream_of_the_host_is_for_the_card_alone_that_was_told_to_use_it() {
    assert_eq!(confined("vsock", "vsock-stream").code(), Some(DONE));
    for (reach, act) in [
        ("sockets", "vsock-stream"),
        ("nothing", "vsock-stream"),
        ("vsock", "vsock-datagram"),
        ("vsock", "dial"),
    ] {
        let signal = confined(reach, act).signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{reach} {act}");
    }
}

#[test]
fn no_device_that_a_card_holds_can_be_set_up_anew() {
    for reach in ["nothing", "sockets", "internet"] {
        assert_eq!(confined(reach, "nonblocking").code(), Some(DONE), "{reach}");
        assert_eq!(
            confined(reach, "device").signal(),
            Some(libc::SIGSYS),
            "{reach}"
        );
    }
}

#[test]
fn no_program_can_be_started() {
    for reach in ["nothing", "sockets"] {
        let status = confined(reach, "start");
        assert_ne!(status.code(), Some(DONE), "{reach}");
    }
}
