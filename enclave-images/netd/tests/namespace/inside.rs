//! Inside the namespace: the device, netd, and then the case.

use crate::host::Servers;
use cloister_egress_policy::Policy;
use cloister_netd::{addresses, device};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};
use std::fs::{self, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode};

const BUFFER_BYTES: usize = 64 << 20;

pub fn run_case(name: &str, socket: &str, servers: &Servers) -> ExitCode {
    let case = crate::cases::ALL.iter().find(|(it, _)| *it == name);
    let (_, case) = case.expect("a case");
    let mut netd = enter(socket, crate::cases::POLICY);
    case(servers, &mut netd);
    ExitCode::SUCCESS
}

pub fn run_command(socket: &str, policy: &str, command: &[&str]) -> ExitCode {
    let _netd = enter(socket, policy);
    let status = Command::new(command[0])
        .args(&command[1..])
        .status()
        .expect("a command");
    ExitCode::from(status.code().unwrap_or(1) as u8)
}

fn enter(socket: &str, policy: &str) -> Netd {
    let (uid, gid) = (getuid(), getgid());
    let mut flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    if !uid.is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).expect("namespaces");
    if !uid.is_root() {
        fs::write("/proc/self/setgroups", "deny").expect("setgroups");
        fs::write("/proc/self/uid_map", format!("0 {uid} 1")).expect("uid_map");
        fs::write("/proc/self/gid_map", format!("0 {gid} 1")).expect("gid_map");
    }
    use_resolver();
    let tun = open_tun();
    device::configure().expect("the device's addresses");
    Netd::start(tun, socket, policy)
}

/// netd as a process, and the device that outlives it.
pub struct Netd {
    device: OwnedFd,
    socket: String,
    policy: String,
    process: Child,
}

impl Netd {
    fn start(device: OwnedFd, socket: &str, policy: &str) -> Self {
        let process = spawn(&device, socket, policy);
        Self {
            device,
            socket: socket.to_owned(),
            policy: policy.to_owned(),
            process,
        }
    }

    /// Kills it, and starts another one, which finds no host part.
    pub fn separate(&mut self) {
        self.socket.push_str(".absent");
        self.replace();
    }

    /// Kills it, and starts another one.
    pub fn replace(&mut self) {
        self.end();
        self.process = spawn(&self.device, &self.socket, &self.policy);
    }

    fn end(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("reaped");
    }
}

impl Drop for Netd {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(device: &OwnedFd, socket: &str, policy: &str) -> Child {
    Command::new("/proc/self/exe")
        .args(["--netd", socket, policy])
        .stdin(device.try_clone().expect("a clone"))
        .spawn()
        .expect("netd")
}

/// Relays for the device on standard input.
pub fn run_netd(socket: &str, policy: &str) -> ExitCode {
    let policy = Policy::from_json(policy.as_bytes()).expect("a policy");
    let device = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("a device");
    let socket = socket.to_owned();
    let dial = move || {
        let stream = UnixStream::connect(&socket)?;
        stream.set_nonblocking(true)?;
        Ok(OwnedFd::from(stream))
    };
    let relay = cloister_netd::ready(device, policy, Box::new(dial), BUFFER_BYTES);
    let Err(error) = relay.and_then(|relay| relay());
    eprintln!("netd: {error}");
    ExitCode::FAILURE
}

fn use_resolver() {
    let none = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).expect("a private root");
    mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), none).expect("a tmpfs");
    let text = format!("nameserver {}\n", addresses::ROUTER_V4);
    fs::write("/mnt/resolv.conf", text).expect("resolv.conf");
    let target = fs::canonicalize("/etc/resolv.conf").expect("/etc/resolv.conf");
    mount(
        Some("/mnt/resolv.conf"),
        &target,
        none,
        MsFlags::MS_BIND,
        none,
    )
    .expect("resolv.conf");
}

/// linux/if_tun.h
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
const TUN_F_CSUM: libc::c_ulong = 1;

fn open_tun() -> OwnedFd {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .expect("/dev/net/tun");
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(addresses::DEVICE.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags =
        (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: the first call takes an ifreq that outlives it, the second a number.
    let results = unsafe {
        [
            libc::ioctl(device.as_raw_fd(), TUNSETIFF, &raw mut request),
            libc::ioctl(device.as_raw_fd(), TUNSETOFFLOAD, TUN_F_CSUM),
        ]
    };
    assert_eq!(results, [0, 0], "{}", std::io::Error::last_os_error());
    device.into()
}
