//! What every role gives up before it serves.

use nix::sys::prctl::{set_dumpable, set_name, set_no_new_privs};
use nix::sys::resource::{Resource, setrlimit};
use std::ffi::CString;
use std::io;

/// A role neither gains privileges nor is looked into by processes of its user.
pub fn confine(name: &str, descriptors: u64) -> io::Result<()> {
    set_name(&CString::new(name)?)?;
    set_no_new_privs()?;
    set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors)?;
    Ok(())
}
