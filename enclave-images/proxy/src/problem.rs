//! The codes of what the HTTP proxy refuses.
#![forbid(unsafe_code)]

use crate::target::{Host, Target};
use crate::way::Refusal;
use cloister_egress_policy::decision::Explanation;
use cloister_guest_api::problem::{Kind, Problem};
use hyper::StatusCode;

const DENIED: Kind = Kind {
    code: "ERR_EGRESS_DENIED",
    hint: "Add a rule that allows the destination to `egress` of the manifest, or to the operator's rules.",
};
const REQUEST: Kind = Kind {
    code: "ERR_EGRESS_REQUEST",
    hint: "Use CONNECT HOST:PORT, or a request for an http:// URL in absolute form.",
};
const SERVER: Kind = Kind {
    code: "ERR_EGRESS_SERVER",
    hint: "Check that the name exists, and that the server accepts connections on this port.",
};

/// A request that is not one for a proxy.
pub fn request(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, REQUEST, message)
}

/// The server broke off.
pub fn server(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, SERVER, message)
}

/// There is no way to the target.
pub fn refused(target: &Target, refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::Denied(explanation) => denied(&format!(
            "egress of the image denies {target}{}",
            explanation.as_ref().map_or_else(String::new, details)
        )),
        Refusal::DeniedByHost => denied(&format!("the operator's rules deny {target}")),
        Refusal::Unknown => server(format!("{target} was not found")),
        Refusal::Refused => server(match target.host {
            Host::Name(_) => format!("{target} refused the connection"),
            Host::Address(_) => {
                format!("{target} refused the connection, or the rules of egress did")
            }
        }),
        Refusal::Unreachable => server(format!("{target} cannot be reached")),
        Refusal::TimedOut => Problem {
            status: StatusCode::GATEWAY_TIMEOUT,
            ..server(format!("{target} did not answer"))
        },
    }
}

fn denied(message: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, DENIED, message)
}

fn details(explanation: &Explanation) -> String {
    let why = &explanation.why;
    match &explanation.would_allow {
        Some(rule) => format!(": {why}; in allow, {rule} would allow it"),
        None => format!(": {why}"),
    }
}
