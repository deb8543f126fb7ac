//! What a container runtime puts into a container without the image's help, and programs count on:
//! a host name, `localhost`, `HOME`, a working directory, low ports for every user, enough descriptors.
//! What the image has itself is kept. None of this failing keeps an app from starting.
#![forbid(unsafe_code)]

use crate::console;
use crate::manifest::{Manifest, read_file};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::sethostname;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

const DEFAULT_HOSTNAME: &str = "enclave";
/// HOST_NAME_MAX.
const MAX_HOSTNAME_BYTES: usize = 64;
/// Soft and hard limits on open files, as systemd gives them.
const OPEN_FILES: (u64, u64) = (1024, 524_288);
/// As Docker sets them: any user may listen on any port, and ping.
const SYSCTLS: [(&str, &str); 2] = [
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
];

/// Prepares the app's root and the kernel, and adds `HOME` and `HOSTNAME` to the environment.
pub fn prepare(manifest: &mut Manifest) {
    let hostname = hostname();
    attempt("set the host name", sethostname(&hostname));
    attempt(
        "write /etc/hostname",
        write_if_empty("/etc/hostname", &format!("{hostname}\n")),
    );
    attempt("write /etc/hosts", name_localhost(&hostname));
    for (name, value) in SYSCTLS {
        attempt(name, fs::write(Path::new("/proc/sys").join(name), value));
    }
    let (soft, hard) = OPEN_FILES;
    attempt(
        "raise RLIMIT_NOFILE",
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard),
    );
    attempt(
        "give the console to the app",
        console::give_to(manifest.user.uid),
    );
    if let Some(declared) = &manifest.declared {
        attempt("write /run/cloister/manifest.json", declared.publish());
    }
    manifest.set_default("HOSTNAME", hostname.into());
    let home = home(manifest.user.uid);
    manifest.set_default("HOME", home);
}

/// Says what failed, and goes on.
pub fn attempt<E: std::fmt::Display>(what: &str, result: Result<(), E>) {
    if let Err(error) = result {
        console::say(&format!("{what}: {error}"));
    }
}

/// The image's own name in /etc/hostname, where it is one.
fn hostname() -> String {
    let text = read_text("/etc/hostname");
    let name = text.split_whitespace().next().unwrap_or_default();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if (1..=MAX_HOSTNAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        name.into()
    } else {
        DEFAULT_HOSTNAME.into()
    }
}

/// Adds to /etc/hosts what it does not name: builders leave the file out, or leave it empty.
fn name_localhost(hostname: &str) -> io::Result<()> {
    let text = read_text("/etc/hosts");
    let names = |wanted: &str| {
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default());
        lines
            .flat_map(|line| line.split_whitespace().skip(1))
            .any(|name| name == wanted)
    };
    let mut added = String::new();
    if !names("localhost") {
        added += "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    }
    if !names(hostname) {
        // A program that listens at its own name is reached as one at localhost is.
        added += &format!("127.0.0.1\t{hostname}\n");
    }
    if !text.is_empty() && !text.ends_with('\n') {
        added.insert(0, '\n');
    }
    append("/etc/hosts", &added)
}

/// Empty when it is absent, too large, or not text.
pub fn read_text(path: &str) -> String {
    let bytes = read_file(path).ok().flatten().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

fn write_if_empty(path: &str, text: &str) -> io::Result<()> {
    if read_file(path)?.is_some_and(|bytes| !bytes.is_empty()) {
        return Ok(());
    }
    append(path, text)
}

/// Adds to a file, which is made where it does not exist.
pub fn append(path: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all("/etc")?;
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// The home directory that /etc/passwd has for the user; without one `/`.
fn home(uid: u32) -> OsString {
    let passwd = read_file("/etc/passwd").ok().flatten().unwrap_or_default();
    home_in(&passwd, uid).unwrap_or_else(|| "/".into())
}

/// Lines of `name:password:uid:gid:comment:home:shell`.
fn home_in(passwd: &[u8], uid: u32) -> Option<OsString> {
    passwd.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b':').skip(2);
        let is_user = fields.next()? == uid.to_string().as_bytes();
        let home = fields.nth(2)?;
        (is_user && home.starts_with(b"/")).then(|| OsString::from_vec(home.to_vec()))
    })
}

/// Makes the working directory where the image lacks it, as Docker does.
pub fn make_workdir(workdir: &Path) -> io::Result<()> {
    fs::create_dir_all(workdir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_directory_is_that_of_the_uid() {
        let passwd =
            b"root:x:0:0::/root:/bin/sh\nodd\napp:x:1000:1000:,,,:/home/app:\nx:x:7:7:::\n";
        assert_eq!(home_in(passwd, 0), Some("/root".into()));
        assert_eq!(home_in(passwd, 1000), Some("/home/app".into()));
        assert_eq!(home_in(passwd, 7), None);
        assert_eq!(home_in(passwd, 100), None);
    }
}
