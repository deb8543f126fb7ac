//! The operations that answer to an attestation document, and what `Recipient` changes in their requests and
//! responses.
#![forbid(unsafe_code)]

use crate::failure::{Code, Failure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

const RECIPIENT: &str = "Recipient";
/// The NSM's limit.
const MAX_NONCE_BYTES: usize = 512;
const CIPHERTEXT: &str = "CiphertextForRecipient";

/// A plaintext, or why there is none.
type Opened = Result<Zeroizing<Vec<u8>>, Failure>;

/// The response's field that a client without a document reads. `None` for operations without `Recipient`.
/// Sign has it on Cloister's broker only.
#[must_use]
pub fn plain_field(operation: &str) -> Option<&'static str> {
    match operation {
        "Decrypt" | "GenerateDataKey" | "GenerateRandom" => Some("Plaintext"),
        "GenerateDataKeyPair" => Some("PrivateKeyPlaintext"),
        "DeriveSharedSecret" => Some("SharedSecret"),
        "Sign" => Some("Signature"),
        _ => None,
    }
}

/// Whether the program that made the request deals with documents itself.
#[must_use]
pub fn has_recipient(request: &Map<String, Value>) -> bool {
    request.get(RECIPIENT).is_some_and(|value| !value.is_null())
}

/// Adds a document to a request.
pub fn add_recipient(request: &mut Map<String, Value>, document: &[u8]) {
    let recipient = json!({
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": STANDARD.encode(document),
    });
    request.insert(RECIPIENT.into(), recipient);
}

/// The nonce in a response of CreateNonce. What the parent makes up instead, the broker does not accept.
pub fn nonce_of(response: &Map<String, Value>) -> Result<Vec<u8>, Failure> {
    let unreadable = || Failure::new(Code::Response, "the response has no Nonce");
    let text = response.get("Nonce").and_then(Value::as_str);
    let nonce = STANDARD
        .decode(text.ok_or_else(unreadable)?)
        .map_err(|_| unreadable())?;
    if (1..=MAX_NONCE_BYTES).contains(&nonce.len()) {
        Ok(nonce)
    } else {
        Err(unreadable())
    }
}

/// Takes CiphertextForRecipient out of a response and opens it. A response that has the plain field as well was
/// readable on its way, and is refused.
pub fn open(
    response: &mut Map<String, Value>,
    field: &str,
    decrypt: impl FnOnce(&[u8]) -> Opened,
) -> Opened {
    if response.get(field).is_some_and(|value| !value.is_null()) {
        return Err(not_attested(format!(
            "the response has {field} in plain text"
        )));
    }
    let Some(Value::String(text)) = response.remove(CIPHERTEXT) else {
        return Err(not_attested(format!("the response has no {CIPHERTEXT}")));
    };
    let cms = STANDARD
        .decode(text)
        .map_err(|error| Failure::new(Code::Response, format!("{CIPHERTEXT}: {error}")))?;
    decrypt(&cms)
}

/// Opens CiphertextForRecipient, and puts it where a client without a document looks for it.
pub fn replace(
    response: &mut Map<String, Value>,
    field: &str,
    decrypt: impl FnOnce(&[u8]) -> Opened,
) -> Result<(), Failure> {
    let plaintext = open(response, field, decrypt)?;
    response.insert(field.into(), STANDARD.encode(&*plaintext).into());
    Ok(())
}

fn not_attested(reason: String) -> Failure {
    let message = format!("{reason}: what answered has not used the attestation document");
    Failure::new(Code::NotAttested, message)
}
