//! Lines of JSON, from bytes to bytes.
#![forbid(unsafe_code)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Longest request line in bytes, newline included. Three fields of 1024 bytes need 4.2 KiB.
pub const MAX_LINE_BYTES: u64 = 16 * 1024;

/// What to put into the document; `None` leaves the field null.
#[derive(Debug, PartialEq, Eq)]
pub struct AttestationRequest {
    pub nonce: Option<Vec<u8>>,
    pub user_data: Option<Vec<u8>>,
    pub public_key: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Line {
    nonce: Option<String>,
    user_data: Option<String>,
    public_key: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Document(String),
    Error(String),
}

/// Answers one line, which ends with a newline unless the client stopped or went over the limit.
pub fn answer(
    line: &[u8],
    attest: impl FnOnce(AttestationRequest) -> Result<Vec<u8>, String>,
) -> Vec<u8> {
    let answer = match parse(line).and_then(attest) {
        Ok(document) => Answer::Document(STANDARD.encode(document)),
        Err(error) => Answer::Error(error),
    };
    serde_json::to_vec(&answer).expect("texts are always JSON")
}

fn parse(line: &[u8]) -> Result<AttestationRequest, String> {
    if line.last() != Some(&b'\n') || line.len() as u64 > MAX_LINE_BYTES {
        return Err(format!(
            "a request is one line of at most {MAX_LINE_BYTES} bytes"
        ));
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Ok(AttestationRequest {
        nonce: decode("nonce", line.nonce)?,
        user_data: decode("userData", line.user_data)?,
        public_key: decode("publicKey", line.public_key)?,
    })
}

fn decode(field: &str, text: Option<String>) -> Result<Option<Vec<u8>>, String> {
    text.map(|text| {
        STANDARD
            .decode(text)
            .map_err(|error| format!("{field}: {error}"))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with the nonce as the document.
    fn echo(line: &[u8]) -> String {
        let answer = answer(line, |request| request.nonce.ok_or("no nonce".into()));
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn passes_the_three_fields_on() {
        let line = b"{\"nonce\":\"AQ==\",\"userData\":\"\",\"publicKey\":null}\n";
        let expected = AttestationRequest {
            nonce: Some(vec![1]),
            user_data: Some(vec![]),
            public_key: None,
        };
        assert_eq!(parse(line), Ok(expected));
        assert_eq!(echo(line), r#"{"document":"AQ=="}"#);
    }

    #[test]
    fn passes_the_error_of_the_nsm_on() {
        assert_eq!(echo(b"{}\n"), r#"{"error":"no nonce"}"#);
    }

    #[test]
    fn refuses_what_is_no_request() {
        let long = [
            b"{\"nonce\":\"".as_slice(),
            &vec![b'A'; 16 * 1024],
            b"\"}\n",
        ]
        .concat();
        let hostile: [&[u8]; 8] = [
            b"",
            b"\n",
            b"{}",
            b"[]\n",
            b"{\"nonce\":\"A\"}\n",
            b"{\"nonce\":\"AQ==\",\"nonce\":\"AQ==\"}\n",
            b"{\"else\":null}\n",
            &long,
        ];
        for line in hostile {
            assert!(
                echo(line).starts_with(r#"{"error":"#),
                "{}",
                line.escape_ascii()
            );
        }
    }
}
