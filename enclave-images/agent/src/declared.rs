//! What the application declares of itself: `manifest` in `/cloister.yaml`, measured with it. The
//! app finds it at /run/cloister/manifest.json.
#![forbid(unsafe_code)]

use cloister_egress_policy::Policy;
use cloister_ingress_wire::Ingress;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

const DIRECTORY: &str = "/run/cloister";
const FILE: &str = "/run/cloister/manifest.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Declared {
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_mib: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<u32>,
    ports: Vec<u32>,
    pub logs: DeclaredLogs,
    restart: String,
    /// What may be reached; absent: there is no network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Policy>,
    /// Whether programs have the HTTP API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub api: bool,
    /// Ports with attested TLS in front of the app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<ServedTls>,
    /// Ports of the app that the host may publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Whether programs have a proxy to what `egress` allows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy: bool,
}

/// A port, of vsock and of the loopback, and the one that the app serves behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedTls {
    pub port: u16,
    pub to: u16,
}

/// Beginnings of lines that may leave, for each stream; the empty one is every line's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredLogs {
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

impl Declared {
    /// Writes it where the app finds it, for everybody to read.
    pub fn publish(&self) -> io::Result<()> {
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        match fs::DirBuilder::new().mode(0o755).create(DIRECTORY) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // The image's own file of this name, if there is one, says something that was not declared.
        match fs::remove_file(FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(FILE)?
            .write_all(&json)
    }
}
