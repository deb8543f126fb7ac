//! Reads a tar archive (pax or GNU) from standard input and writes it to standard output, a regular
//! file, as a SquashFS 4.0 image compressed with zstd: `cloister-squashfs < archive.tar > image`. The
//! format is that of Linux's Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h.
//!
//! The image is a function of the archive alone: not of the machine, the time, or the number of
//! CPUs. Memory holds a few blocks and the tree's names, never the files.
//!
//! `cloister-squashfs attributes < directory` is for the same images: see `attributes`.
//!
//! Left out: devices and sockets (an error), duplicate files, indexes of directories, the table for
//! NFS exports.
#![forbid(unsafe_code)]

mod archive;
mod attributes;
mod compress;
mod data;
mod directories;
mod image;
mod inodes;
mod metadata;
mod tree;
mod xattrs;

use cloister_confine::sandbox::{self, Reach};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

/// Address space: a million names, which the image builder allows, take some hundred MiB.
const MAX_MEMORY_BYTES: u64 = 2 << 30;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match args.as_slice() {
        [] => run(),
        [word] if word == "attributes" => attributes::print(io::stdin(), io::stdout().lock()),
        _ => {
            eprintln!("usage: cloister-squashfs < archive.tar > image");
            return ExitCode::from(64);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    compress::check_version()?;
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if !file.metadata()?.is_file() {
        return Err(invalid("standard output is not a regular file"));
    }
    // From here on it reads standard input and writes that file, and can do nothing else.
    let bound = Rlimit {
        current: Some(MAX_MEMORY_BYTES),
        maximum: Some(MAX_MEMORY_BYTES),
    };
    setrlimit(Resource::As, bound)?;
    sandbox::enter(Reach::Nothing, false)?;
    image::write(io::stdin().lock(), file)
}

/// An error about what the caller gave.
fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}
