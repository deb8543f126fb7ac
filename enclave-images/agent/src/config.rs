//! The configuration that the operator gave the enclave at its start. The parent has measured it into
//! PCR16 and locked that; here it is asked for, compared with PCR16 and put where the app finds it,
//! before the app starts. Where PCR16 is not locked there is none, and the register is the app's.
#![forbid(unsafe_code)]

use crate::channel::Channel;
use minicbor::Decoder;
use nix::mount::{MsFlags, mount};
use sha2::{Digest, Sha384};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Largest configuration in bytes, as it is measured: 64 KiB of names and contents, and their heads.
pub const MAX_BYTES: usize = 68 * 1024;
const MAX_NAME_BYTES: usize = 255;
const PCR_BYTES: usize = 48;
/// `{"DescribePCR": {"index": 16}}`
const DESCRIBE_PCR16: &[u8] = b"\xa1\x6bDescribePCR\xa1\x65index\x10";
const DIRECTORY: &str = "/run/cloister";
const PLACE: &str = "/run/cloister/config";
const NOTHING: Option<&str> = None;

/// PCR16 as it is before the app starts.
#[derive(Debug, PartialEq, Eq)]
pub struct Register {
    is_locked: bool,
    value: [u8; PCR_BYTES],
}

impl Register {
    /// Asks the NSM.
    ///
    /// # Errors
    /// `InvalidData` when it answers anything but a description of a PCR.
    pub fn read(ask_nsm: impl FnOnce(&[u8]) -> io::Result<Vec<u8>>) -> io::Result<Self> {
        Self::decode(&ask_nsm(DESCRIBE_PCR16)?).map_err(invalid)
    }

    /// `{"DescribePCR": {"lock": bool, "data": bstr}}`, keys in either order.
    fn decode(response: &[u8]) -> Result<Self, minicbor::decode::Error> {
        let refuse = minicbor::decode::Error::message;
        let mut from = Decoder::new(response);
        if from.map()? != Some(1) || from.str()? != "DescribePCR" || from.map()? != Some(2) {
            return Err(refuse("the NSM did not describe PCR16"));
        }
        let (mut lock, mut data) = (None, None);
        for _ in 0..2 {
            match from.str()? {
                "lock" => lock = Some(from.bool()?),
                "data" => data = from.bytes()?.try_into().ok(),
                _ => return Err(refuse("an unknown key")),
            }
        }
        match (lock, data) {
            (Some(is_locked), Some(value)) if from.position() == response.len() => {
                Ok(Self { is_locked, value })
            }
            _ => Err(refuse("not a description of a PCR")),
        }
    }

    fn is_extended_with(&self, configuration: &[u8]) -> bool {
        let extended = Sha384::new()
            .chain_update([0; PCR_BYTES])
            .chain_update(Sha384::digest(configuration))
            .finalize();
        extended.as_slice() == self.value
    }
}

/// Takes the configuration from the parent and puts it at /run/cloister/config; does nothing where
/// there is none.
///
/// # Errors
/// `InvalidData` when the parent hands over anything but what PCR16 was extended with, or nothing.
pub fn take(register: &Register, channel: Option<&Channel>) -> io::Result<()> {
    if !register.is_locked {
        return Ok(());
    }
    let channel =
        channel.ok_or_else(|| invalid("PCR16 is locked, and nobody gives what it holds"))?;
    let bytes = channel.ask_for_configuration()?;
    if !register.is_extended_with(&bytes) {
        return Err(invalid(
            "what the parent handed over is not what PCR16 holds",
        ));
    }
    publish(&Configuration::decode(&bytes).map_err(invalid)?)
}

#[derive(Debug, PartialEq, Eq)]
enum Configuration<'a> {
    File(&'a [u8]),
    Directory(Vec<(&'a str, &'a [u8])>),
}

impl<'a> Configuration<'a> {
    /// A byte string, or a map from names to byte strings, shorter names first and each once.
    fn decode(bytes: &'a [u8]) -> Result<Self, minicbor::decode::Error> {
        let mut from = Decoder::new(bytes);
        let decoded = match from.datatype()? {
            minicbor::data::Type::Map => Self::Directory(decode_files(&mut from)?),
            _ => Self::File(from.bytes()?),
        };
        if from.position() == bytes.len() {
            Ok(decoded)
        } else {
            Err(minicbor::decode::Error::message("trailing bytes"))
        }
    }
}

fn decode_files<'a>(
    from: &mut Decoder<'a>,
) -> Result<Vec<(&'a str, &'a [u8])>, minicbor::decode::Error> {
    let refuse = minicbor::decode::Error::message;
    let count = from.map()?.ok_or_else(|| refuse("an indefinite length"))?;
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    for _ in 0..count {
        let (name, contents) = (from.str()?, from.bytes()?);
        let is_next = files
            .last()
            .is_none_or(|(last, _)| (last.len(), *last) < (name.len(), name));
        if !is_next || !is_file_name(name) {
            return Err(refuse("a name that cannot be, or is not in its place"));
        }
        files.push((name, contents));
    }
    Ok(files)
}

fn is_file_name(name: &str) -> bool {
    let is_reserved = matches!(name, "" | "." | "..");
    !is_reserved && name.len() <= MAX_NAME_BYTES && !name.contains(['/', '\0'])
}

/// Everybody may read it and nobody may write to it: the mount is read-only.
fn publish(configuration: &Configuration<'_>) -> io::Result<()> {
    make_directory(DIRECTORY)?;
    remove(PLACE)?;
    match configuration {
        Configuration::File(contents) => write(Path::new(PLACE), contents)?,
        Configuration::Directory(files) => {
            make_directory(PLACE)?;
            for (name, contents) in files {
                write(&Path::new(PLACE).join(name), contents)?;
            }
            fs::set_permissions(PLACE, Permissions::from_mode(0o555))?;
        }
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(Some(PLACE), PLACE, NOTHING, MsFlags::MS_BIND, NOTHING)?;
    let remount = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags;
    mount(NOTHING, PLACE, NOTHING, remount, NOTHING)?;
    Ok(())
}

fn make_directory(path: &str) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What the image has there is not what was given.
fn remove(path: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(path)?
        .write_all(contents)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
