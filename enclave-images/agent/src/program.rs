//! Why a program does not start. exec's own errors do not tell a missing program from a missing
//! interpreter or loader, so what exec looks at is looked at again, once it has failed.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// As deep as Linux follows scripts whose interpreter is a script.
const MAX_INTERPRETERS: usize = 5;
/// As much of a `#!` line as Linux reads (BINPRM_BUF_SIZE); an ELF header and a path are shorter.
const HEAD_BYTES: usize = 256;
const MAX_PROGRAM_HEADERS: u16 = 128;
const PT_INTERP: u32 = 3;
const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;

/// What is wrong with `program`, which is looked for as execvp does; `None` when it cannot be seen.
pub fn explain(program: &OsStr, path_variable: &OsStr, workdir: &Path) -> Option<String> {
    let Some(mut file) = locate(program, path_variable, workdir) else {
        return Some(format!("{} is not in the image", program.display()));
    };
    for _ in 0..MAX_INTERPRETERS {
        let metadata = match look_at(&file) {
            Ok(metadata) => metadata,
            Err(problem) => return Some(problem),
        };
        if let Some(problem) = refuses_to_run(&file, &metadata) {
            return Some(problem);
        }
        let next = workdir.join(interpreter(&file).ok()??);
        if fs::symlink_metadata(&next).is_err() {
            return Some(format!(
                "{} needs {}, which the image does not have",
                file.display(),
                next.display()
            ));
        }
        file = next;
    }
    None
}

fn locate(program: &OsStr, path_variable: &OsStr, workdir: &Path) -> Option<PathBuf> {
    let exists = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
    if program.as_bytes().contains(&b'/') {
        return Some(workdir.join(program)).filter(exists);
    }
    std::env::split_paths(path_variable)
        .map(|directory| workdir.join(directory).join(program))
        .find(exists)
}

/// Follows symbolic links.
fn look_at(file: &Path) -> Result<Metadata, String> {
    fs::metadata(file).map_err(|error| match fs::read_link(file) {
        Ok(target) => format!(
            "{} is a symbolic link to {}, which cannot be opened: {error}",
            file.display(),
            target.display()
        ),
        Err(_) => format!("{}: {error}", file.display()),
    })
}

fn refuses_to_run(file: &Path, metadata: &Metadata) -> Option<String> {
    let name = file.display();
    if metadata.is_dir() {
        return Some(format!("{name} is a directory"));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Some(format!("{name} is not executable (its mode has no x)"));
    }
    match elf_machine(file) {
        Ok(Some(EM_386 | EM_X86_64)) | Err(_) => None,
        Ok(Some(machine)) => Some(format!(
            "{name} is built for another processor (ELF machine {machine}; this one is x86_64)"
        )),
        Ok(None) if starts_with(file, b"#!") => None,
        Ok(None) => Some(format!(
            "{name} is neither an ELF program nor a script with #!"
        )),
    }
}

/// The program that has to run for `file` to run: a script's interpreter, an ELF program's loader.
fn interpreter(file: &Path) -> io::Result<Option<PathBuf>> {
    let head = read_head(file)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let mut words = line.split(|byte| b" \t\0".contains(byte));
        return Ok(words.find(|word| !word.is_empty()).map(to_path));
    }
    elf_loader(&File::open(file)?, &head)
}

fn starts_with(file: &Path, magic: &[u8]) -> bool {
    read_head(file).is_ok_and(|head| head.starts_with(magic))
}

fn elf_machine(file: &Path) -> io::Result<Option<u16>> {
    let head = read_head(file)?;
    Ok(head
        .starts_with(b"\x7fELF")
        .then(|| number(&head, 18, 2) as u16))
}

/// The path in the PT_INTERP program header.
fn elf_loader(file: &File, head: &[u8]) -> io::Result<Option<PathBuf>> {
    let is_64 = head.get(4) == Some(&2);
    let (table, size, count) = if is_64 { (32, 54, 56) } else { (28, 42, 44) };
    let table = number(head, table, if is_64 { 8 } else { 4 });
    let size = number(head, size, 2);
    let count = (number(head, count, 2) as u16).min(MAX_PROGRAM_HEADERS);
    for index in 0..u64::from(count) {
        let mut header = [0; 56];
        let used = if is_64 { 56 } else { 32 };
        file.read_exact_at(&mut header[..used], table.saturating_add(index * size))?;
        if number(&header, 0, 4) as u32 != PT_INTERP {
            continue;
        }
        let (offset, width) = if is_64 { (8, 8) } else { (4, 4) };
        let mut path = [0; HEAD_BYTES];
        let length = file.read_at(&mut path, number(&header, offset, width))?;
        let path = path[..length].split(|&byte| byte == 0).next();
        return Ok(path.filter(|path| !path.is_empty()).map(to_path));
    }
    Ok(None)
}

fn read_head(file: &Path) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let length = File::open(file)?.read_at(&mut head, 0)?;
    head.truncate(length);
    Ok(head)
}

/// A little-endian number of `width` bytes; what lies outside reads as 0.
fn number(bytes: &[u8], offset: usize, width: usize) -> u64 {
    let byte = |index: usize| u64::from(bytes.get(offset + index).copied().unwrap_or(0));
    (0..width).fold(0, |sum, index| sum | byte(index) << (8 * index))
}

fn to_path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

#[cfg(test)]
mod tests;
