//! What every card's `main` does: parse the command line, run, and turn a failure into an exit status.

use std::io;
use std::process::ExitCode;

/// A card as a program.
pub struct Program<A> {
    /// As messages begin.
    pub name: &'static str,
    pub usage: &'static str,
    /// The command line, or a sentence that says what is wrong with it.
    pub parse: fn(std::iter::Skip<std::env::Args>) -> Result<A, String>,
    /// Serves until the VMM or the keeper goes.
    pub run: fn(A) -> io::Result<()>,
}

impl<A> Program<A> {
    /// Exit status 2: a bad command line; 1: what the card needs could not be set up.
    #[must_use]
    pub fn main(&self) -> ExitCode {
        let arguments = match (self.parse)(std::env::args().skip(1)) {
            Ok(arguments) => arguments,
            Err(sentence) => {
                eprint!("{}: {sentence}\n{}", self.name, self.usage);
                return ExitCode::from(2);
            }
        };
        match (self.run)(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", self.name);
                ExitCode::FAILURE
            }
        }
    }
}
