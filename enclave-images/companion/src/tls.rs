//! Attested TLS in front of the app's ports. The agent hands over the listeners under numbers that the
//! arguments say.

use crate::api::nsm_of_all_users;
use crate::confine::confine;
use crate::memory::buffer_bytes;
use cloister_edge::Served;
use cloister_roles::TLS;
use cloister_roles::descriptor::inherit;
use cloister_roles::tls_port::TlsPort;
use std::convert::Infallible;
use std::io;

/// A client's connection, and one to the program for each of its requests.
const MAX_DESCRIPTORS: u64 = 8192;

/// Serves until something fails.
pub fn serve() -> io::Result<Infallible> {
    confine(TLS, MAX_DESCRIPTORS)?;
    let arguments = std::env::args().skip(1);
    let ports = arguments.map(|it| take(&it)).collect::<io::Result<_>>()?;
    cloister_edge::run(ports, nsm_of_all_users()?, buffer_bytes()?)
}

fn take(argument: &str) -> io::Result<Served> {
    let TlsPort { vsock, tcp, to } = argument.parse()?;
    Ok(Served {
        vsock: inherit(vsock)?,
        tcp: inherit(tcp)?.into(),
        to,
    })
}
