//! What a confined card can still do. Each act is tried in a process of its own: this test program,
//! started again.

mod acting;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::LazyLock;

use acting::{
    TEST, abstract_name, bind_to_file, change_root, connect_to_vsock_socket, continue_alone, dial,
    enter, map_memory, name_owner, serve, set_nonblocking, signal_to, the_test, vsock,
};
use rustix::net::{SocketType, ipproto};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

const ACT: &str = "CLOISTER_CONFINE_ACT";
const DONE: i32 = 7;
/// Every reach, as acts name it.
const REACHES: [&str; 7] = [
    "sockets", "vsock", "internet", "parent", "programs", "dialler", "nothing",
];

/// How a process ended that confined itself and then did `act`.
fn confined(reach: &str, act: &str) -> ExitStatus {
    confined_in(Path::new("."), reach, act)
}

/// The same for a process whose working directory this is.
fn confined_in(directory: &Path, reach: &str, act: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .current_dir(directory)
        .args(["--exact", "acts", "--nocapture", "--test-threads=1"])
        .env(ACT, format!("{reach} {act}"))
        .env(TEST, std::process::id().to_string())
        .output()
        .unwrap()
        .status
}

/// Of this test alone, as others run at the same time.
fn empty_directory(name: &str) -> std::path::PathBuf {
    let own = format!("cloister-confine-{}-{name}", std::process::id());
    let directory = std::env::temp_dir().join(own);
    std::fs::create_dir(&directory).unwrap();
    directory
}

/// No claim of its own: what the processes of the other tests do.
#[test]
fn acts() {
    let Ok(act) = std::env::var(ACT) else { return };
    let (reach, act) = act.split_once(' ').unwrap();
    let mut before = File::open("/proc/self/status").unwrap();
    continue_alone();
    enter(reach);
    let outcome = match act {
        "read" => before.read(&mut [0; 8]).map(drop),
        "nonblocking" => set_nonblocking(&before),
        "open" => File::open("/etc/passwd").map(drop),
        "connect" => UnixStream::connect("/nowhere").map(drop),
        "abstract" => UnixStream::connect_addr(&abstract_name(the_test())).map(drop),
        "vsock-socket" => connect_to_vsock_socket(),
        "copied-name" => UnixStream::connect("vsock.sock").map(drop),
        "map" => map_memory(),
        "signal" => signal_to(the_test()),
        "own" => name_owner(&before, the_test()),
        "outlive" => {
            rustix::process::set_parent_process_death_signal(None).map_err(io::Error::from)
        }
        "be-traced" => set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(io::Error::from),
        "signal-itself" => signal_to(std::process::id()),
        "leave-root" => File::open("../../../../etc/passwd").map(drop),
        "capabilities" => change_root(),
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
    let directory = empty_directory("unbound");
    let bind = confined_in(&directory, "sockets", "bind");
    assert_eq!(bind.code(), Some(DONE + 1));
    std::fs::remove_dir(directory).unwrap(); // only if it is empty
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

/// Where acts connect to: the name is of the process, in which tests run side by side.
static ABSTRACT: LazyLock<UnixListener> =
    LazyLock::new(|| UnixListener::bind_addr(&abstract_name(std::process::id())).unwrap());

/// A directory with the vsock card's socket and one beside it, and the listeners.
fn vsock_directory(name: &str) -> (PathBuf, [UnixListener; 2]) {
    let directory = std::env::temp_dir().join(format!("cl-confine-{name}-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let listeners = ["vsock.sock", "other.sock"]
        .map(|socket| UnixListener::bind(directory.join(socket)).unwrap());
    (directory, listeners)
}

#[test]
fn the_process_that_dials_connects_to_the_vsock_card_and_to_nothing_else() {
    let (directory, _listeners) = vsock_directory("dials");
    LazyLock::force(&ABSTRACT);
    let done = |act| confined_in(&directory, "dialler", act);
    assert_eq!(done("vsock-socket").code(), Some(DONE));
    assert_eq!(done("read").code(), Some(DONE));
    for act in [
        "connect",
        "abstract",
        "copied-name", // in memory that the process could write
        "dial",
        "send",
        "datagram",
        "vsock-stream",
        "device",
        "nonblocking",
    ] {
        assert_eq!(done(act).signal(), Some(libc::SIGSYS), "{act}");
    }
    for act in ["open", "map", "thread", "bind"] {
        assert_eq!(done(act).code(), Some(DONE + 1), "{act}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn no_card_signals_a_process_of_its_user() {
    for reach in REACHES {
        let signal = confined(reach, "signal").signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{reach}");
        let itself = confined(reach, "signal-itself");
        assert_eq!(itself.code(), Some(DONE), "{reach}");
    }
}

#[test]
fn no_card_has_the_kernel_signal_a_process_of_its_user() {
    for reach in ["sockets", "vsock", "internet", "dialler", "nothing"] {
        let signal = confined(reach, "own").signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{reach}");
    }
}

#[test]
fn no_card_outlives_its_keeper_or_can_be_traced_again() {
    for reach in REACHES {
        for act in ["outlive", "be-traced"] {
            let signal = confined(reach, act).signal();
            assert_eq!(signal, Some(libc::SIGSYS), "{reach} {act}");
        }
    }
}

#[test]
fn a_root_of_its_own_has_no_way_out_and_no_capability() {
    for root in ["own-root", "host-root"] {
        for act in ["open", "leave-root", "capabilities"] {
            assert_eq!(confined(root, act).code(), Some(DONE + 1), "{root} {act}");
        }
        let directory = empty_directory(root);
        let bind = confined_in(&directory, root, "bind"); // beside its sockets
        assert_eq!(bind.code(), Some(DONE), "{root}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}

#[test]
fn abstract_sockets_of_the_host_are_only_in_the_host_s_network() {
    LazyLock::force(&ABSTRACT);
    assert_eq!(confined("host-root", "abstract").code(), Some(DONE));
    assert_eq!(confined("own-root", "abstract").code(), Some(DONE + 1));
    let of_the_card = confined("host-root+internet", "abstract");
    assert_eq!(of_the_card.signal(), Some(libc::SIGSYS));
}

#[test]
fn the_network_card_in_its_root_dials_tcp_and_udp_and_nothing_else() {
    for act in ["dial", "send"] {
        assert_eq!(
            confined("host-root+internet", act).code(),
            Some(DONE),
            "{act}"
        );
    }
    for act in ["connect", "abstract", "datagram", "raw", "vsock-stream"] {
        let signal = confined("host-root+internet", act).signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{act}");
    }
}
