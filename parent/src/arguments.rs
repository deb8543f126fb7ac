//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

pub const USAGE: &str = "\
usage: cloister-parent --runtime DIR [option...] -- PROGRAM [ARG...]
  --runtime DIR       the private directory that holds the registry of enclaves
  --enclave ID|NAME   an enclave that the program's ports serve (repeatable; default: every one)
  --with-parent       end when the parent process ends
";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub runtime: PathBuf,
    /// Empty for every enclave.
    pub enclaves: Vec<String>,
    pub with_parent: bool,
    /// The program and its arguments, at least one word.
    pub command: Vec<OsString>,
}

impl Arguments {
    /// # Errors
    /// A sentence for the user when an option is unknown or missing.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let (mut runtime, mut enclaves, mut with_parent) = (None, Vec::new(), false);
        while let Some(option) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or(format!("{} needs a value", option.display()))
            };
            match option.to_str() {
                Some("--") => break,
                Some("--with-parent") => with_parent = true,
                Some("--runtime") => runtime = Some(value()?.into()),
                Some("--enclave") => enclaves.push(value()?.to_string_lossy().into_owned()),
                _ => return Err(format!("{}: no such option", option.display())),
            }
        }
        let command: Vec<_> = words.collect();
        if command.is_empty() {
            return Err("the program is missing: write it after --".into());
        }
        Ok(Self {
            runtime: runtime.ok_or("--runtime is missing")?,
            enclaves,
            with_parent,
            command,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn leaves_the_programs_own_options_alone() {
        let parsed = parse("--runtime /r --enclave a --enclave b -- prog --runtime x").unwrap();
        assert_eq!(parsed.enclaves, ["a", "b"]);
        assert_eq!(parsed.command, ["prog", "--runtime", "x"]);
        assert!(!parsed.with_parent);
    }

    #[test]
    fn refuses_what_is_missing_or_unknown() {
        for line in [
            "--runtime /r",
            "--runtime /r --",
            "-- prog",
            "--frob -- prog",
            "--runtime",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
