//! Lines of JSON, from bytes to bytes.
#![forbid(unsafe_code)]

use crate::Shared;
use crate::security_module::attest;
use crate::signing_key::{Sealed, SigningKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Longest request line in bytes, newline included.
pub const MAX_LINE_BYTES: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
enum Request {
    Unseal {
        private_key: String,
        key_id: String,
        region: String,
        endpoint: Option<String>,
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
    },
    Sign {
        message: String,
    },
    Attest {
        nonce: String,
    },
}

#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Answer {
    PublicKey(String),
    Signature(String),
    Document(String),
    Error(String),
}

pub struct Connection<'a> {
    pub key: &'a Shared,
}

impl Connection<'_> {
    /// Answers one line, which ends with a newline unless the client stopped or went over the limit.
    pub fn answer(&self, line: &[u8]) -> Vec<u8> {
        let answer = parse(line)
            .and_then(|request| self.execute(request))
            .unwrap_or_else(Answer::Error);
        serde_json::to_vec(&answer).expect("texts are always JSON")
    }

    fn execute(&self, request: Request) -> Result<Answer, String> {
        match request {
            Request::Sign { message } => {
                let message = decode("message", &message)?;
                self.with_key(|key| key.sign(&message))
                    .map(|signature| Answer::Signature(STANDARD.encode(signature)))
            }
            Request::Attest { nonce } => {
                let public_key = self.with_key(SigningKey::public_key).ok();
                attest(decode("nonce", &nonce)?, public_key)
                    .map(|document| Answer::Document(STANDARD.encode(document)))
            }
            unseal @ Request::Unseal { .. } => {
                let key = SigningKey::unseal(sealed(unseal)?)?;
                let public_key = key.public_key()?;
                *self.key.write().map_err(|_| "the key is lost")? = Some(key);
                Ok(Answer::PublicKey(STANDARD.encode(public_key)))
            }
        }
    }

    fn with_key<T>(
        &self,
        use_it: impl FnOnce(&SigningKey) -> Result<T, String>,
    ) -> Result<T, String> {
        let key = self.key.read().map_err(|_| "the key is lost")?;
        use_it(key.as_ref().ok_or("the key is not unsealed yet")?)
    }
}

fn sealed(request: Request) -> Result<Sealed, String> {
    let Request::Unseal {
        private_key,
        key_id,
        region,
        endpoint,
        access_key_id,
        secret_access_key,
        session_token,
    } = request
    else {
        return Err("not a request to unseal".into());
    };
    Ok(Sealed {
        ciphertext: decode("privateKey", &private_key)?,
        key_id,
        region,
        endpoint,
        access_key_id,
        secret_access_key,
        session_token,
    })
}

fn parse(line: &[u8]) -> Result<Request, String> {
    if line.last() != Some(&b'\n') || line.len() as u64 > MAX_LINE_BYTES {
        return Err(format!(
            "a request is one line of at most {MAX_LINE_BYTES} bytes"
        ));
    }
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

fn decode(field: &str, text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|error| format!("{field}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_request_and_signs_nothing_without_a_key() {
        let key = Shared::default();
        let connection = Connection { key: &key };
        for line in [
            b"".as_slice(),
            b"\n",
            b"{}\n",
            b"[]\n",
            b"{\"sign\":{}}\n",
            b"{\"sign\":{\"message\":\"A\"}}\n",
            b"{\"sign\":{\"message\":\"AA==\",\"key\":1}}\n",
            b"{\"sign\":{\"message\":\"AA==\"}}",
            b"{\"sign\":{\"message\":\"AA==\"}}\n",
            b"{\"unseal\":{\"privateKey\":\"AA==\"}}\n",
        ] {
            let answer = connection.answer(line);
            assert!(
                answer.starts_with(b"{\"error\":"),
                "{}",
                line.escape_ascii()
            );
        }
    }
}
