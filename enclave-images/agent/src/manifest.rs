//! What to run: `/cloister.yaml` (its JSON subset, version 1), or `/cmd` and `/env` with one item
//! per line as AWS's init reads them. All three are measured; none is trusted to be well formed.
#![forbid(unsafe_code)]

use crate::declared::Declared;
use serde::Deserialize;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Largest file that is read, in bytes: what exec takes as arguments is smaller.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// What an app gets when neither the image nor its configuration names a PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The app: never empty arguments, an absolute working directory, a PATH in the environment.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    pub argv: Vec<OsString>,
    /// `NAME=value`, each with a name.
    pub env: Vec<OsString>,
    pub workdir: PathBuf,
    pub user: User,
    /// Directories that are to be file systems of their own, each after those that it lies in.
    pub volumes: Vec<PathBuf>,
    pub declared: Option<Declared>,
}

/// Numeric identity, as the image's builder resolved it.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    env: Vec<String>,
    workdir: PathBuf,
    user: User,
    #[serde(default)]
    volumes: Vec<PathBuf>,
    #[serde(rename = "manifest")]
    declared: Option<Declared>,
}

impl Manifest {
    /// Reads the manifest from the root of the initramfs.
    pub fn read() -> io::Result<Self> {
        match read_file("/cloister.yaml")? {
            Some(bytes) => Self::parse(&bytes),
            None => Self::from_lines(read_file("/cmd")?, read_file("/env")?),
        }
    }

    /// Parses the bytes of a cloister.yaml.
    ///
    /// # Errors
    /// `InvalidData` for anything but a complete version 1 manifest that can be started.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let document: Document = serde_json::from_slice(bytes).map_err(invalid)?;
        if document.version != 1 {
            return Err(invalid(format!("version {} is not 1", document.version)));
        }
        let argv = document
            .entrypoint
            .into_iter()
            .chain(document.cmd)
            .map(OsString::from);
        Self {
            argv: argv.collect(),
            env: document.env.into_iter().map(OsString::from).collect(),
            workdir: document.workdir,
            user: document.user,
            volumes: document.volumes,
            declared: document.declared,
        }
        .checked()
    }

    /// AWS's two files: no `/cmd` means `sh`; no `/env` means the default PATH alone.
    pub fn from_lines(cmd: Option<Vec<u8>>, env: Option<Vec<u8>>) -> io::Result<Self> {
        Self {
            argv: cmd.map_or_else(|| vec!["sh".into()], |bytes| lines(&bytes)),
            env: env.map_or_else(Vec::new, |bytes| lines(&bytes)),
            workdir: "/".into(),
            user: User::default(),
            volumes: Vec::new(),
            declared: None,
        }
        .checked()
    }

    fn checked(mut self) -> io::Result<Self> {
        if self.argv.first().is_none_or(|program| program.is_empty()) {
            return Err(invalid("no program to start"));
        }
        if !self.workdir.is_absolute() {
            return Err(invalid(format!(
                "workdir {} is not absolute",
                self.workdir.display()
            )));
        }
        if let Some(volume) = self.volumes.iter().find(|it| !is_plain(it)) {
            return Err(invalid(format!(
                "the volume {} is not a path from the root",
                volume.display()
            )));
        }
        if [self.user.uid, self.user.gid]
            .iter()
            .chain(&self.user.groups)
            .any(|&id| id == u32::MAX)
        {
            return Err(invalid("4294967295 is not a user or group id"));
        }
        if self
            .argv
            .iter()
            .chain(&self.env)
            .any(|text| text.as_encoded_bytes().contains(&0))
        {
            return Err(invalid("a NUL in an argument or variable"));
        }
        if let Some(entry) = self
            .env
            .iter()
            .find(|entry| split_variable(entry).is_none())
        {
            return Err(invalid(format!(
                "env: {} is not NAME=value",
                entry.display()
            )));
        }
        self.set_default("PATH", DEFAULT_PATH.into());
        Ok(self)
    }

    /// Adds a variable unless the image has one of that name.
    pub fn set_default(&mut self, name: &str, value: OsString) {
        if self.variables().all(|(other, _)| other != name) {
            let mut entry = OsString::from(name);
            entry.push("=");
            entry.push(value);
            self.env.push(entry);
        }
    }

    /// The value of a variable; empty when it is not there.
    pub fn variable(&self, name: &str) -> OsString {
        let mut values = self.variables().filter(|(other, _)| other == name);
        values.next().map(|(_, value)| value).unwrap_or_default()
    }

    /// The environment as names and values.
    pub fn variables(&self) -> impl Iterator<Item = (OsString, OsString)> {
        self.env.iter().filter_map(split_variable)
    }
}

/// Absolute, below the root and without `.` and `..`.
fn is_plain(path: &Path) -> bool {
    let mut parts = path.components();
    let is_below_root = path.is_absolute() && path.parent().is_some();
    is_below_root && parts.all(|it| matches!(it, Component::RootDir | Component::Normal(_)))
}

/// `None` when there is no `=` or nothing before it.
fn split_variable(entry: &OsString) -> Option<(OsString, OsString)> {
    let bytes = entry.as_encoded_bytes();
    let equals = bytes
        .iter()
        .position(|&byte| byte == b'=')
        .filter(|&at| at > 0)?;
    let part = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    Some((part(&bytes[..equals]), part(&bytes[equals + 1..])))
}

fn lines(bytes: &[u8]) -> Vec<OsString> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|&byte| byte == b'\n')
        .map(|line| OsString::from_vec(line.to_vec()))
        .collect()
}

/// The bytes of a file of at most 1 MiB; `None` when it does not exist.
pub fn read_file(path: impl AsRef<Path>) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(invalid(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(Some(bytes))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
