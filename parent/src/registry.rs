//! The enclaves of this host, as their records tell (docs/architecture.md, "Directories on the host").
//! Read anew whenever it matters, so that an enclave that was restarted is found.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A record has a few kilobytes; its image's metadata may be larger.
const RECORD_MAX_BYTES: u64 = 4 << 20;
/// Directories looked at; the registry keeps twenty ended enclaves beside those that run.
const MAX_ENCLAVES: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclave {
    pub cid: u32,
    pub is_chosen: bool,
    /// Of its vsock card's sockets.
    pub vsock: PathBuf,
    pub card: Option<i32>,
}

impl Enclave {
    /// Where the host dials its guest.
    #[must_use]
    pub fn dial_path(&self) -> PathBuf {
        self.vsock.join("vsock.sock")
    }

    /// Where a port of its parent is served.
    #[must_use]
    pub fn port_path(&self, port: u32) -> PathBuf {
        self.vsock.join(format!("vsock.sock_{port}"))
    }
}

pub struct Registry {
    directory: PathBuf,
    chosen: Vec<String>,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    state: String,
    description: Description,
    /// Absent before the vsock card runs; no guest dials before that.
    #[serde(default)]
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Description {
    name: String,
    cid: u32,
}

#[derive(Deserialize)]
struct Process {
    name: String,
    pid: i32,
}

impl Registry {
    /// `chosen` are ids or names of the enclaves whose parent the program is; none means every one.
    #[must_use]
    pub fn new(runtime: &Path, chosen: Vec<String>) -> Self {
        Self {
            directory: runtime.join("enclaves"),
            chosen,
        }
    }

    /// Where an enclave's directory appears when it starts.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Every enclave that has not ended.
    #[must_use]
    pub fn enclaves(&self) -> Vec<Enclave> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Vec::new();
        };
        let paths = entries
            .flatten()
            .take(MAX_ENCLAVES)
            .map(|entry| entry.path());
        paths.filter_map(|path| self.enclave(&path)).collect()
    }

    fn enclave(&self, directory: &Path) -> Option<Enclave> {
        let record = read_record(directory)?;
        let is_chosen = self.chosen.is_empty()
            || self
                .chosen
                .iter()
                .any(|it| *it == record.id || *it == record.description.name);
        let card = record
            .processes
            .iter()
            .find(|process| process.name == "vsock card");
        (record.state != "TERMINATED").then(|| Enclave {
            cid: record.description.cid,
            is_chosen,
            vsock: directory.join("vsock"),
            card: card.map(|process| process.pid),
        })
    }
}

fn read_record(directory: &Path) -> Option<Record> {
    let file = File::open(directory.join("record.json")).ok()?;
    let mut bytes = Vec::new();
    file.take(RECORD_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
