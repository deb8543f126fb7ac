//! The codes of what is refused here, beside those of the guest's API.
#![forbid(unsafe_code)]

use cloister_guest_api::problem::{Kind, Problem};
use hyper::StatusCode;

const PARAMETER: Kind = Kind {
    code: "ERR_EDGE_PARAMETER",
    hint: "Ask for /.well-known/attestation?nonce=HEX, and add &binding=tls-exporter for a document of this connection alone.",
};
const PROGRAM: Kind = Kind {
    code: "ERR_EDGE_PROGRAM",
    hint: "Check that the program listens on 127.0.0.1, on the port that `tls` of the manifest names in `to`.",
};
const REQUEST: Kind = Kind {
    code: "ERR_EDGE_REQUEST",
    hint: "Send a request for a path, with a Host field or an :authority.",
};

/// A parameter that is unknown, repeated, missing, malformed or too long.
pub fn parameter(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, PARAMETER, message)
}

/// The program does not answer.
pub fn program(message: impl Into<String>) -> Problem {
    Problem {
        retry_after: Some(1),
        ..Problem::new(StatusCode::BAD_GATEWAY, PROGRAM, message)
    }
}

/// A request that is not passed on.
pub fn request(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, REQUEST, message)
}
