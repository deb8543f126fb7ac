//! What an app sees around itself.
#![forbid(unsafe_code)]

use crate::system;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::{env, fs, process};

pub fn describe(arguments: &[String]) -> Value {
    let entropy = system::has_entropy();
    let writable = ["/tmp/x", "/dev/shm/x", "/run/x"].map(|path| fs::write(path, "x").is_ok());
    let links = ["/dev/fd", "/dev/stdout"].map(|path| fs::read_link(path).is_ok());
    let hosts = ["localhost:1", "enclave:1"].map(|name| name.to_socket_addrs().is_ok());
    json!({
        "arguments": arguments,
        "environment": env::vars().collect::<BTreeMap<_, _>>(),
        "workdir": env::current_dir().unwrap_or_default(),
        "pid": process::id(),
        "status": status("/proc/self/status"),
        "mounts": mounts(),
        "loopback": loopback(),
        "hosts": hosts,
        "output": streams().map_or_else(|error| error.to_string(), |()| "accepted".into()),
        "lowPort": TcpListener::bind("127.0.0.1:80").is_ok(),
        "entropy": entropy,
        "temporaryMode": fs::metadata("/tmp").map_or(0, |file| file.permissions().mode() & 0o7777),
        "writable": writable,
        "links": links,
        "initramfs": fs::metadata("/cloister.yaml").is_ok(),
    })
}

/// The lines of a /proc status file by name.
fn status(path: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// File system type by mount point.
fn mounts() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = text
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|fields| fields.len() > 2);
    fields
        .map(|fields| (fields[1].to_owned(), fields[2].to_owned()))
        .collect()
}

/// Writes to stdout and stderr, by descriptor and by name, and reads stdin to its end.
fn streams() -> std::io::Result<()> {
    std::io::stdout().write_all(b"a line\n")?;
    std::io::stdout().flush()?;
    std::io::stderr().write_all(b"a line\n")?;
    fs::write("/dev/stdout", "a line\n")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Whether a byte passes through 127.0.0.1.
fn loopback() -> bool {
    let exchange = || -> std::io::Result<u8> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        client.write_all(&[42])?;
        let mut byte = [0];
        listener.accept()?.0.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    exchange().is_ok_and(|byte| byte == 42)
}

/// The files in a directory, and their bytes as far as they are not zero.
pub fn contents(directory: &str) -> Value {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = files.map(|file| {
        let bytes = fs::read(file.path()).unwrap_or_default();
        bytes.iter().filter(|&&byte| byte != 0).count()
    });
    let sizes: Vec<usize> = sizes.collect();
    json!({ "files": sizes.len(), "bytes": sizes.iter().sum::<usize>() })
}

/// How many processes have ended and were not reaped.
pub fn zombies() -> usize {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| {
            let path = entry.path().join("status");
            fs::read_to_string(path).is_ok_and(|text| text.contains("State:\tZ"))
        })
        .count()
}
