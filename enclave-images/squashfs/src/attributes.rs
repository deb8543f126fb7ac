//! Prints the extended attributes that an image keeps of a directory of the host: `user.*`, and file
//! capabilities. Labels such as `security.selinux` belong to the host, not to the files.
//!
//! The directory is standard input. Each line of the output is the path, the attribute's name and its
//! value, in hexadecimal and separated by spaces; the path is relative, and `.` is the directory itself.

use crate::invalid;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags, lgetxattr, llistxattr, openat};
use rustix::io::Errno;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Linux: XATTR_LIST_MAX and XATTR_SIZE_MAX.
const MAX_LIST_BYTES: usize = 65_536;
const MAX_VALUE_BYTES: usize = 65_536;
/// The image builder allows 255 directories above a file.
const MAX_DEPTH: usize = 256;

pub fn print(directory: impl AsFd, out: impl Write) -> io::Result<()> {
    let mut printer = Printer {
        out,
        path: Vec::new(),
        buffer: vec![0; MAX_LIST_BYTES.max(MAX_VALUE_BYTES)],
    };
    printer.member(directory.as_fd(), b".")?;
    printer.walk(directory.as_fd(), 0)?;
    printer.out.flush()
}

struct Printer<W> {
    out: W,
    /// Of the directory that is read, with a slash behind each name.
    path: Vec<u8>,
    buffer: Vec<u8>,
}

impl<W: Write> Printer<W> {
    fn walk(&mut self, directory: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(invalid("the directories are nested too deeply"));
        }
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            self.member(directory, name)?;
            if matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
                self.enter(directory, name, depth)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, parent: BorrowedFd<'_>, name: &[u8], depth: usize) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held: OwnedFd = match openat(parent, name, flags, Mode::empty()) {
            Ok(held) => held,
            // Not a directory, or no longer there.
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let length = self.path.len();
        self.path.extend(name);
        self.path.push(b'/');
        self.walk(held.as_fd(), depth + 1)?;
        self.path.truncate(length);
        Ok(())
    }

    /// Through the open directory, whatever its name means by now; a symbolic link is not followed.
    fn member(&mut self, directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
        path.extend(name);
        let list = match llistxattr(path.as_slice(), self.buffer.as_mut_slice()) {
            Ok(size) => self.buffer[..size].to_vec(),
            Err(error) => return ignore(error),
        };
        for attribute in list.split(|&byte| byte == 0).filter(|it| is_kept(it)) {
            match lgetxattr(path.as_slice(), attribute, self.buffer.as_mut_slice()) {
                Ok(size) => self.line(name, attribute, size)?,
                Err(error) => ignore(error)?,
            }
        }
        Ok(())
    }

    fn line(&mut self, name: &[u8], attribute: &[u8], size: usize) -> io::Result<()> {
        let path = [self.path.as_slice(), name].concat();
        let value = hex(&self.buffer[..size]);
        writeln!(self.out, "{} {} {value}", hex(&path), hex(attribute))
    }
}

fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"user.")
}

/// A file system without attributes, a file that cannot be asked, and one that is no longer there.
fn ignore(error: Errno) -> io::Result<()> {
    match error {
        Errno::OPNOTSUPP | Errno::NODATA | Errno::ACCESS | Errno::PERM | Errno::NOENT => Ok(()),
        error => Err(error.into()),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
