//! A client of AWS KMS for programs inside an enclave. Where an operation answers to an attestation document, the
//! request carries a fresh one with a fresh key, and the response is opened here.
#![forbid(unsafe_code)]

use crate::attested;
use crate::clock::amz_date;
use crate::credentials::AccessKey;
use crate::document::Attester;
use crate::endpoint::Route;
use crate::failure::{Code, Failure};
use crate::http::Response;
use crate::locked_policy;
use crate::outgoing::{CREATE_NONCE, Outgoing, TARGET_PREFIX};
use crate::recipient::RecipientKey;
use crate::sigv4::Scope;
use crate::strict_json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

const USER_AGENT: &str = concat!("cloister-kms/", env!("CARGO_PKG_VERSION"));
const MAX_MESSAGE_CHARS: usize = 1000;

pub struct Kms {
    pub route: Route,
    pub region: String,
    pub key: AccessKey,
    pub attester: Box<dyn Attester>,
    /// Gets a nonce from Cloister's broker for every document.
    pub uses_nonces: bool,
}

/// A data key, and its form for storage.
pub struct DataKey {
    pub plaintext: Zeroizing<Vec<u8>>,
    pub ciphertext: Vec<u8>,
}

/// A response, and what was encrypted in it.
type Attested = (Map<String, Value>, Zeroizing<Vec<u8>>);

/// What Decrypt needs beside the ciphertext.
#[derive(Default)]
pub struct DecryptOptions<'a> {
    /// Required for asymmetric keys, and recommended always: another key's ciphertext is refused.
    pub key_id: Option<&'a str>,
    pub encryption_algorithm: Option<&'a str>,
    pub encryption_context: BTreeMap<String, String>,
}

impl Kms {
    /// Decrypts with a document of this enclave. The response is not authenticated unless the route has TLS:
    /// without it, use the plaintext only where something else proves it.
    pub fn decrypt(
        &self,
        ciphertext: &[u8],
        options: &DecryptOptions,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut request = object(json!({ "CiphertextBlob": STANDARD.encode(ciphertext) }));
        let named = [
            ("KeyId", options.key_id),
            ("EncryptionAlgorithm", options.encryption_algorithm),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                request.insert(name.into(), value.into());
            }
        }
        if !options.encryption_context.is_empty() {
            request.insert(
                "EncryptionContext".into(),
                json!(options.encryption_context),
            );
        }
        Ok(self.attested("Decrypt", request)?.1)
    }

    /// A data key of `AES_256` or `AES_128`.
    pub fn generate_data_key(&self, key_id: &str, key_spec: &str) -> Result<DataKey, Failure> {
        let request = object(json!({ "KeyId": key_id, "KeySpec": key_spec }));
        let (response, plaintext) = self.attested("GenerateDataKey", request)?;
        let ciphertext = STANDARD
            .decode(text_field(&response, "CiphertextBlob")?)
            .map_err(|error| unreadable(&format!("CiphertextBlob: {error}")))?;
        Ok(DataKey {
            plaintext,
            ciphertext,
        })
    }

    /// 1 to 1024 random bytes.
    pub fn generate_random(&self, count: u16) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let request = object(json!({ "NumberOfBytes": count }));
        let random = self.attested("GenerateRandom", request)?.1;
        if random.len() != usize::from(count) {
            return Err(unreadable(
                "Plaintext has another length than was asked for",
            ));
        }
        Ok(random)
    }

    /// Refuses a key whose policy somebody can extend, that opens without a document, or whose material is not in KMS
    /// alone. What the policy says is read from KMS: over a route without TLS, the parent can lie about it.
    pub fn require_locked_policy(&self, key_id: &str) -> Result<(), Failure> {
        self.require_locked_policy_under(key_id, &[])
    }

    /// The same, and refuses a key that opens for documents under other roots than these: SHA-256 of the roots' DER, in
    /// hexadecimal digits. For Cloister's broker only; AWS KMS has no such condition.
    pub fn require_locked_policy_under(&self, key_id: &str, roots: &[&str]) -> Result<(), Failure> {
        let description = self.call("DescribeKey", &object(json!({ "KeyId": key_id })))?;
        let usage = locked_policy::check_material(&description)?;
        let expected = locked_policy::Expected { usage, roots };
        let request = object(json!({ "KeyId": key_id, "PolicyName": "default" }));
        let response = self.call("GetKeyPolicy", &request)?;
        let policy = text_field(&response, "Policy")?;
        if locked_policy::check(policy, &expected)? == locked_policy::Grants::MustBeNone {
            let grants = self.call("ListGrants", &object(json!({ "KeyId": key_id })))?;
            let is_empty = grants
                .get("Grants")
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty);
            if !is_empty || grants.get("Truncated") == Some(&Value::Bool(true)) {
                return Err(locked_policy::not_locked(
                    "the key has grants, and no Deny covers what they allow",
                ));
            }
        }
        Ok(())
    }

    /// Any operation, without a document.
    pub fn call(
        &self,
        operation: &str,
        request: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Failure> {
        let target = format!("{TARGET_PREFIX}{operation}");
        self.exchange(&target, request, false)
    }

    fn exchange(
        &self,
        target: &str,
        request: &Map<String, Value>,
        is_attested: bool,
    ) -> Result<Map<String, Value>, Failure> {
        let body = serde_json::to_vec(request).map_err(|error| unreadable(&error.to_string()))?;
        let time = amz_date();
        let scope = Scope {
            date: time[..8].into(),
            region: self.region.clone(),
        };
        if !scope.is_valid() {
            let message = format!("{:?} is not a region", self.region);
            return Err(Failure::new(Code::Argument, message));
        }
        let url = self.route.url(&self.region);
        let outgoing = Outgoing {
            url: &url,
            target,
            time: &time,
            scope: &scope,
            user_agent: USER_AGENT,
            body: &body,
            is_attested,
        };
        let response = self.route.send(&outgoing, &self.key)?;
        if response.status != 200 {
            let operation = target.rsplit('.').next().unwrap_or(target);
            return Err(refusal(operation, &response));
        }
        strict_json::parse_object(&response.body).map_err(|error| unreadable(&error))
    }

    fn nonce(&self) -> Result<Option<Vec<u8>>, Failure> {
        if !self.uses_nonces {
            return Ok(None);
        }
        let response = self.exchange(CREATE_NONCE, &Map::new(), false)?;
        attested::nonce_of(&response).map(Some)
    }

    fn attested(
        &self,
        operation: &str,
        mut request: Map<String, Value>,
    ) -> Result<Attested, Failure> {
        let field = attested::plain_field(operation).unwrap_or_default();
        let key = RecipientKey::generate()?;
        let nonce = self.nonce()?;
        let document = self.attester.attest(key.spki(), nonce.as_deref())?;
        attested::add_recipient(&mut request, &document);
        let target = format!("{TARGET_PREFIX}{operation}");
        let mut response = self.exchange(&target, &request, true)?;
        let form = self.route.form();
        let plaintext = attested::open(&mut response, field, |cms| key.open(cms, form))?;
        Ok((response, plaintext))
    }
}

/// AWS's error: `__type`, with a namespace or without, and `message` or `Message`.
fn refusal(operation: &str, response: &Response) -> Failure {
    let body = strict_json::parse_object(&response.body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let kind = text("__type").map_or("an unknown error", |it| it.rsplit('#').next().unwrap_or(it));
    let message: String = text("message")
        .or(text("Message"))
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_MESSAGE_CHARS)
        .collect();
    let status = response.status;
    Failure {
        code: Code::Refused,
        message: format!("{operation}: {kind} (status {status}): {message}"),
        refusal: text("__type").map(|_| kind.into()),
    }
}

fn text_field<'a>(response: &'a Map<String, Value>, name: &str) -> Result<&'a str, Failure> {
    let value = response.get(name).and_then(Value::as_str);
    value.ok_or_else(|| unreadable(&format!("{name} is missing")))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn unreadable(reason: &str) -> Failure {
    Failure::new(
        Code::Response,
        format!("the response cannot be read: {reason}"),
    )
}
