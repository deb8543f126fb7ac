//! `GET /v1/config`: the configuration that PCR16 identifies, as the agent has put it into the guest.
#![forbid(unsafe_code)]

use crate::accept::{CBOR, JSON, choose};
use crate::problem::{self, Problem};
use crate::reply::{self, Reply};
use hyper::{HeaderMap, StatusCode};
use minicbor::Encoder;
use serde_json::{Map, json};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

const PLACE: &str = "/run/cloister/config";
/// What the agent takes: 64 KiB of names and contents in 256 files.
const MAX_BYTES: u64 = 64 * 1024;
const MAX_FILES: usize = 256;

pub fn answer(headers: &HeaderMap) -> Result<Reply, Problem> {
    let kind = choose(headers, &[JSON, CBOR])?;
    match Configuration::read(Path::new(PLACE)) {
        Ok(Some(configuration)) if kind == CBOR => Ok(reply::cbor(configuration.to_cbor())),
        Ok(Some(configuration)) => Ok(configuration.to_json()),
        Ok(None) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            problem::CONFIG,
            "the enclave was started without a configuration",
        )),
        Err(error) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            problem::CONFIG,
            format!("could not read the configuration: {error}"),
        )),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Configuration {
    File(Vec<u8>),
    Directory(Vec<(String, Vec<u8>)>),
}

impl Configuration {
    /// `None` where there is none.
    fn read(place: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(place) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(found) if found.is_dir() => read_files(place).map(Self::Directory).map(Some),
            Ok(_) => read_file(place).map(Self::File).map(Some),
        }
    }

    fn to_json(&self) -> Reply {
        match self {
            Self::File(contents) => reply::json(&json!({ "file": reply::base64(contents) })),
            Self::Directory(files) => {
                let files = files
                    .iter()
                    .map(|(name, contents)| (name.clone(), reply::base64(contents)));
                reply::json(&json!({ "files": files.collect::<Map<_, _>>() }))
            }
        }
    }

    /// The item whose SHA-384 PCR16 was extended with (docs/protocols.md).
    fn to_cbor(&self) -> Vec<u8> {
        let mut to = Encoder::new(Vec::new());
        let written = match self {
            Self::File(contents) => to.bytes(contents).map(|_| ()),
            Self::Directory(files) => to.map(files.len() as u64).and_then(|to| {
                for (name, contents) in files {
                    to.str(name)?.bytes(contents)?;
                }
                Ok(())
            }),
        };
        written.expect("writing to memory cannot fail");
        to.into_writer()
    }
}

/// Shorter names first, names of equal length in byte order.
fn read_files(directory: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        if files.len() == MAX_FILES {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let entry = entry?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|_| ErrorKind::InvalidData)?;
        files.push((name, read_file(&entry.path())?));
    }
    files.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    Ok(files)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut contents)?;
    if contents.len() as u64 > MAX_BYTES {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_encoded_as_it_was_measured() {
        let files = Configuration::Directory(vec![("b".into(), vec![1]), ("aa".into(), vec![])]);
        assert_eq!(files.to_cbor(), b"\xa2\x61b\x41\x01\x62aa\x40");
        assert_eq!(Configuration::File(vec![2]).to_cbor(), b"\x41\x02");
    }

    #[test]
    fn reads_a_file_a_directory_and_nothing() {
        let directory = std::env::temp_dir().join(format!("guest-api-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        for (name, contents) in [("aa", "1"), ("b", "2"), ("ab", "3")] {
            fs::write(directory.join(name), contents).unwrap();
        }
        let read = Configuration::read(&directory).unwrap().unwrap();
        let file = Configuration::read(&directory.join("b")).unwrap().unwrap();
        let missing = Configuration::read(&directory.join("c")).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        let Configuration::Directory(files) = read else {
            panic!("not a directory");
        };
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "aa", "ab"]);
        assert_eq!(file, Configuration::File(b"2".to_vec()));
        assert_eq!(missing, None);
    }
}
