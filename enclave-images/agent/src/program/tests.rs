//! Each case is a directory tree that an image could have.

use super::*;
use std::os::unix::fs::symlink;

struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("program-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("bin")).unwrap();
        Self(root)
    }

    fn add(&self, name: &str, bytes: &[u8], mode: u32) -> &Self {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// What is said of `program`, with the tree's own path taken out.
    fn explain(&self, program: &str) -> String {
        let text = explain(program.as_ref(), "bin".as_ref(), &self.0).unwrap_or_default();
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A 64-bit ELF header, one PT_INTERP program header and the loader's name.
fn elf(machine: u16, loader: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 120];
    bytes[..5].copy_from_slice(b"\x7fELF\x02");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[32] = 64; // e_phoff
    bytes[54] = 56; // e_phentsize
    bytes[56] = 1; // e_phnum
    bytes[64] = 3; // PT_INTERP
    bytes[72] = 120; // p_offset
    bytes.extend(loader);
    bytes.push(0);
    bytes
}

#[test]
fn names_a_program_that_is_not_there() {
    let tree = Tree::new("absent");
    assert_eq!(tree.explain("sh"), "sh is not in the image");
    assert_eq!(tree.explain("bin/sh"), "bin/sh is not in the image");
}

#[test]
fn names_a_missing_loader() {
    let tree = Tree::new("loader");
    tree.add(
        "bin/app",
        &elf(EM_X86_64, b"/none/ld-linux-x86-64.so.2"),
        0o755,
    );
    assert_eq!(
        tree.explain("app"),
        "bin/app needs /none/ld-linux-x86-64.so.2, which the image does not have"
    );
}

#[test]
fn names_a_missing_interpreter_of_a_script_and_of_the_script_that_interprets_it() {
    let tree = Tree::new("script");
    tree.add("bin/app", b"#! /none/python3 -I\nprint()\n", 0o755);
    assert_eq!(
        tree.explain("app"),
        "bin/app needs /none/python3, which the image does not have"
    );
    tree.add("bin/outer", b"#!bin/app\n", 0o755);
    assert!(
        tree.explain("outer")
            .starts_with("bin/app needs /none/python3")
    );
}

#[test]
fn tells_another_processor_a_directory_a_mode_and_text_apart() {
    let tree = Tree::new("kinds");
    fs::create_dir(tree.0.join("bin/directory")).unwrap();
    symlink("nowhere", tree.0.join("bin/dangling")).unwrap();
    tree.add("bin/arm", &elf(183, b"/lib/ld.so"), 0o755)
        .add("bin/closed", &elf(EM_X86_64, b""), 0o644)
        .add("bin/text", b"hello\n", 0o755);
    assert!(
        tree.explain("arm")
            .contains("another processor (ELF machine 183")
    );
    assert_eq!(tree.explain("directory"), "bin/directory is a directory");
    assert!(tree.explain("closed").contains("not executable"));
    assert!(
        tree.explain("text")
            .contains("neither an ELF program nor a script")
    );
    assert!(
        tree.explain("dangling")
            .contains("symbolic link to nowhere")
    );
}

#[test]
fn hostile_headers_end_without_an_answer() {
    let tree = Tree::new("hostile");
    for length in 0..120 {
        let mut bytes = elf(EM_X86_64, b"/x");
        bytes.truncate(length);
        bytes.iter_mut().skip(32).for_each(|byte| *byte = 0xff);
        tree.add("bin/app", &bytes, 0o755);
        tree.explain("app");
    }
    tree.add("bin/loop", b"#!bin/loop\n", 0o755);
    assert_eq!(tree.explain("loop"), "");
}
