//! The network of an app whose manifest has `egress`: a device, the files that name its resolver, and
//! netd, a process of its own that relays between the device and the parent. Without `egress` there is
//! none of them.
#![forbid(unsafe_code)]

use crate::companions::{self, Companion, file_of};
use crate::kernel;
use crate::manifest::read_file;
use crate::surroundings::{append, attempt, read_text};
use cloister_egress_policy::{HOST_ADDRESS, HOST_NAME, Name, Policy};
use cloister_netd::{addresses, device};
use cloister_roles::NETD;
use nix::sys::sysinfo::sysinfo;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::process::Command;

const PAGE_BYTES: u64 = 4096;
const RESOLVER_FILE: &str = "/etc/resolv.conf";
/// netd's user and group.
const NETD_ID: u32 = 2_147_419_003;

/// Makes the device, and says how netd starts. `app_uid` is the one user that netd must not have.
pub fn prepare(policy: &Policy, app_uid: u32) -> io::Result<Companion> {
    let device = kernel::open_tun(addresses::DEVICE)?;
    device::configure()?;
    attempt("give TCP its memory", widen_tcp_memory());
    attempt("write /etc/resolv.conf", name_resolver());
    attempt("name the host in /etc/hosts", name_host(policy));
    let policy = serde_json::to_vec(policy)?;
    Ok(Companion {
        name: NETD,
        user: companions::user(NETD_ID, app_uid),
        farewell: "netd has ended: flows are gone, and new ones wait until it is back",
        equip: Box::new(move |command| equip(command, &device, &policy)),
    })
}

/// netd gets the device, which outlives it, as descriptor 0 and the policy as descriptor 1.
fn equip(command: &mut Command, device: &OwnedFd, policy: &[u8]) -> io::Result<()> {
    let device = device.try_clone()?;
    command.stdin(device).stdout(file_of("policy", policy)?);
    Ok(())
}

/// Where connections that a program leaves unread take what the kernel lets TCP have, all others stall. Its own
/// bounds are about a tenth of the memory, which 300 connections reach in 512 MiB; here they are an eighth, at which it
/// saves, and a quarter (Linux Documentation/networking/ip-sysctl.rst, `tcp_mem`).
fn widen_tcp_memory() -> io::Result<()> {
    let quarter = sysinfo()?.ram_total() / PAGE_BYTES / 4;
    let pages = format!("{} {} {quarter}", quarter * 3 / 8, quarter / 2);
    fs::write("/proc/sys/net/ipv4/tcp_mem", pages)
}

/// Names the resolver in a file of our own, in place of the image's, of which only what does not name
/// a server is kept.
fn name_resolver() -> io::Result<()> {
    let kept = resolver_settings(&read_text(RESOLVER_FILE));
    // It may be a link to where nothing is.
    match fs::remove_file(RESOLVER_FILE) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all("/etc")?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(RESOLVER_FILE)?;
    write!(file, "nameserver {}\n{kept}", addresses::ROUTER_V4)
}

fn resolver_settings(text: &str) -> String {
    let is_kept = |line: &&str| {
        let keyword = line.split_whitespace().next();
        matches!(keyword, Some("search" | "domain" | "options"))
    };
    text.lines()
        .filter(is_kept)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Where the policy lets the host's loopback be reached, for programs that do not ask a resolver.
fn name_host(policy: &Policy) -> io::Result<()> {
    let is_allowed =
        Name::new(HOST_NAME).is_ok_and(|name| policy.decide_question(&name).is_allowed());
    if !is_allowed {
        return Ok(());
    }
    let is_ended =
        read_file("/etc/hosts")?.is_none_or(|bytes| bytes.is_empty() || bytes.ends_with(b"\n"));
    let newline = if is_ended { "" } else { "\n" };
    append(
        "/etc/hosts",
        &format!("{newline}{HOST_ADDRESS}\t{HOST_NAME}\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_of_the_image_s_resolver_file_what_names_no_server() {
        let text = "# by hand\nsearch a.example b.example\nnameserver 1.1.1.1\n options ndots:2\nnameserver 8.8.8.8";
        assert_eq!(
            resolver_settings(text),
            "search a.example b.example\n options ndots:2\n"
        );
        assert_eq!(resolver_settings(""), "");
    }
}
