//! Published ports. The agent hands over the listener as descriptor 0 and the declared ports as descriptor 1.

use crate::confine::confine;
use crate::memory::buffer_bytes;
use cloister_confine::sandbox::{self, Reach};
use cloister_roles::INGRESS;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

/// Two for each of 1024 clients.
const MAX_DESCRIPTORS: u64 = 4096;
const MAX_JSON_BYTES: u64 = 64 * 1024;

/// Serves until something fails.
pub fn serve() -> io::Result<Infallible> {
    confine(INGRESS, MAX_DESCRIPTORS)?;
    let listener = io::stdin().as_fd().try_clone_to_owned()?;
    let json = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let ingress = serde_json::from_reader(json.take(MAX_JSON_BYTES))?;
    let serve = cloister_ingress::ready(listener, ingress, buffer_bytes()?)?;
    sandbox::enter(Reach::Programs, false)?;
    serve()
}
