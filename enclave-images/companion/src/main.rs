//! The program of the agent's companions: what runs beside an app whose manifest has `egress`, `ingress`, `api`
//! or `tls`, and is in such an image alone. It is one program in five roles; the agent starts each as a
//! user of its own, and again whenever it ends (agent/src/companions.rs).
//!
//! What strangers send is read here, not in PID 1.
#![forbid(unsafe_code)]

mod api;
mod confine;
mod ingress;
mod memory;
mod netd;
mod proxy;
mod tls;

use cloister_roles::{API, INGRESS, NETD, PROXY, TLS};
use std::process::ExitCode;

/// What a process does that nothing asks for: EX_USAGE of sysexits.h.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let served = match name.as_str() {
        NETD => netd::relay(),
        API => api::serve(),
        TLS => tls::serve(),
        INGRESS => ingress::serve(),
        PROXY => proxy::serve(),
        _ => {
            eprintln!(
                "cloister-companion runs beside the app of an enclave; it does nothing elsewhere"
            );
            return USAGE.into();
        }
    };
    let Err(error) = served;
    eprintln!("cloister: {name}: {error}");
    ExitCode::FAILURE
}
