//! How many descriptors a card may open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit on open descriptors to `needed`.
///
/// # Errors
/// When the hard limit is below that.
pub fn allow_descriptors(needed: u64) -> io::Result<()> {
    let current = getrlimit(Resource::Nofile);
    if current.current.is_none_or(|soft| soft >= needed) {
        return Ok(());
    }
    if let Some(most) = current.maximum.filter(|hard| *hard < needed) {
        return Err(io::Error::other(format!(
            "the hard limit on open files is {most}, and {needed} are needed"
        )));
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(needed),
            maximum: current.maximum,
        },
    )?;
    Ok(())
}
