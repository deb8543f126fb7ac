//! Why a request is refused: a status, and JSON with a code of the project's error table.
#![forbid(unsafe_code)]

use hyper::StatusCode;
use serde_json::json;

/// A code, and what to do about it, as the error table has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub code: &'static str,
    pub hint: &'static str,
}

pub const ACCEPT: Kind = Kind {
    code: "ERR_API_ACCEPT",
    hint: "Ask for application/json, or for application/cbor where the API offers it.",
};
pub const BUSY: Kind = Kind {
    code: "ERR_API_BUSY",
    hint: "Wait as long as Retry-After says, and ask again.",
};
pub const CONFIG: Kind = Kind {
    code: "ERR_API_CONFIG",
    hint: "Start the enclave with `cloister run-enclave --config-data PATH`.",
};
pub const HEADER: Kind = Kind {
    code: "ERR_API_HEADER",
    hint: "Send the header `Cloister-Api: 1`, or use the socket /run/cloister/api.sock.",
};
pub const NSM: Kind = Kind {
    code: "ERR_API_NSM",
    hint: "Ask again; if it persists, look for the NSM's errors in the enclave's journal.",
};
pub const PARAMETER: Kind = Kind {
    code: "ERR_API_PARAMETER",
    hint: "docs/guest-api.openapi.json describes every path and parameter.",
};
pub const PATH: Kind = Kind {
    code: "ERR_API_PATH",
    hint: "docs/guest-api.openapi.json describes every path and parameter.",
};

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub kind: Kind,
    pub message: String,
    /// Seconds until it may be tried again.
    pub retry_after: Option<u32>,
}

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, kind: Kind, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    /// A parameter that is unknown, repeated, missing, malformed or too long.
    #[must_use]
    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, PARAMETER, message)
    }

    /// Too many requests, or too many that wait for the NSM.
    #[must_use]
    pub fn busy(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, BUSY, message)
        }
    }

    /// The NSM refused, or did not answer.
    #[must_use]
    pub fn nsm(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, NSM, message)
    }

    /// `{"error": {"code", "message", "hint"}}`, one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Kind { code, hint } = self.kind;
        let message = &self.message;
        let error = json!({ "code": code, "message": message, "hint": hint });
        format!("{}\n", json!({ "error": error }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_problem_is_json_with_its_code_and_hint() {
        let json = Problem::parameter("\"x\" is unknown").to_json();
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["error"]["code"], "ERR_API_PARAMETER");
        assert_eq!(value["error"]["message"], "\"x\" is unknown");
        assert_eq!(value["error"]["hint"], PARAMETER.hint);
    }
}
