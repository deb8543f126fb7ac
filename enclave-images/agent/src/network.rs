//! The network of an app whose manifest has `egress`: a device, the files that name its resolver, and
//! netd, a process of its own that relays between the device and the parent. Without `egress` there is
//! none of them.
#![forbid(unsafe_code)]

use crate::manifest::{User, read_file};
use crate::surroundings::{append, attempt, read_text};
use crate::{console, kernel, netd};
use cloister_egress_policy::{HOST_ADDRESS, HOST_NAME, Name, Policy};
use cloister_netd::{addresses, device};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const RESOLVER_FILE: &str = "/etc/resolv.conf";
/// netd's user and group: no image has it, as distributions give out smaller numbers.
const NETD_ID: u32 = 2_147_419_003;
/// How long netd stays away after its end, doubled each time it ends soon.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// netd, and the device that outlives it.
pub struct Network {
    device: OwnedFd,
    policy: Vec<u8>,
    user: User,
    /// netd's process, while it is not reaped.
    process: Mutex<Option<u32>>,
    ended: Condvar,
}

impl Network {
    /// Makes the device and starts netd, which is started again whenever it ends. `app_uid` is the one
    /// user that netd must not have.
    pub fn start(policy: &Policy, app_uid: u32) -> io::Result<Arc<Self>> {
        let device = kernel::open_tun(addresses::DEVICE)?;
        device::configure()?;
        attempt("write /etc/resolv.conf", name_resolver());
        attempt("name the host in /etc/hosts", name_host(policy));
        let id = if app_uid == NETD_ID {
            NETD_ID + 1
        } else {
            NETD_ID
        };
        let network = Arc::new(Self {
            device,
            policy: serde_json::to_vec(policy)?,
            user: User {
                uid: id,
                gid: id,
                groups: Vec::new(),
            },
            process: Mutex::new(None),
            ended: Condvar::new(),
        });
        network.start_netd()?;
        let supervised = Arc::clone(&network);
        thread::Builder::new()
            .name("network".into())
            .spawn(move || supervised.supervise())?;
        Ok(network)
    }

    /// netd gets the device as descriptor 0 and the policy as descriptor 1. Nothing is reaped meanwhile.
    fn start_netd(&self) -> io::Result<()> {
        let mut process = self.lock();
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(netd::NAME)
            .env_clear()
            .current_dir("/")
            .stdin(self.device.try_clone()?)
            .stdout(policy_file(&self.policy)?);
        kernel::become_user_before_exec(&mut command, &self.user);
        *process = Some(command.spawn()?.id());
        Ok(())
    }

    fn supervise(&self) {
        let mut pause = MIN_PAUSE;
        loop {
            let started = Instant::now();
            self.wait_for_end();
            pause = if started.elapsed() > MAX_PAUSE {
                MIN_PAUSE
            } else {
                pause
            };
            thread::sleep(pause);
            pause = (2 * pause).min(MAX_PAUSE);
            attempt("start netd again", self.start_netd());
        }
    }

    fn wait_for_end(&self) {
        let mut process = self.lock();
        while process.is_some() {
            process = self
                .ended
                .wait(process)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has `reap` reap a process that has ended, while none is being started.
    pub fn reap<R>(&self, pid: u32, reap: impl FnOnce(u32) -> R) -> R {
        let mut process = self.lock();
        let result = reap(pid);
        if *process == Some(pid) {
            *process = None;
            self.ended.notify_all();
            console::say("netd has ended: flows are gone, and new ones wait until it is back");
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Option<u32>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without a name, at its beginning.
fn policy_file(policy: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("policy", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(policy)?;
    file.rewind()?;
    Ok(file)
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
