//! Whether a key's policy is locked: nobody can extend or bypass it, and what opens the key requires an attestation
//! document of certain measurements. `kms-client/src/locked-policy.ts` decides the same; both are tested with
//! `test/fixtures/kms/locked-policies.json`. Stricter than an evaluation of the policy: what it does not understand, it
//! refuses. On AWS, the account's owner can still have AWS's support replace a policy.
#![forbid(unsafe_code)]

use crate::failure::{Code, Failure};
use crate::strict_json;
use serde_json::{Map, Value};

/// Anyone allowed one of these can open the key to others, or take its ciphertexts to another key.
const WIDENING: [&str; 4] = [
    "kms:PutKeyPolicy",
    "kms:CreateGrant",
    "kms:ReEncryptFrom",
    "kms:ReplicateKey",
];
/// What answers with secrets of the key.
const OPENING: [&str; 5] = [
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:DeriveSharedSecret",
    "kms:ReEncryptFrom",
];
/// What tells images apart: an enclave extends PCR16 to PCR31 itself, and PCR3 and PCR4 are its parent's.
const MEASURING: [&str; 5] = [
    "kms:recipientattestation:imagesha384",
    "kms:recipientattestation:pcr0",
    "kms:recipientattestation:pcr1",
    "kms:recipientattestation:pcr2",
    "kms:recipientattestation:pcr8",
];
const ELEMENTS: [&str; 6] = [
    "Sid",
    "Effect",
    "Principal",
    "Action",
    "Resource",
    "Condition",
];

/// Whether existing grants could open the key.
#[derive(Debug, PartialEq, Eq)]
pub enum Grants {
    /// A Deny covers them.
    AreDenied,
    MustBeNone,
}

/// Checks what DescribeKey answers. Who imported material has it, whatever the policy says; a replica in another region
/// has a policy of its own.
pub fn check_material(description: &Map<String, Value>) -> Result<(), Failure> {
    let field = |name: &str| description.get("KeyMetadata").and_then(|it| it.get(name));
    let origin = field("Origin").and_then(Value::as_str).unwrap_or_default();
    if !["AWS_KMS", "AWS_CLOUDHSM"].contains(&origin) {
        let reason = format!("its material was not made in KMS: Origin is {origin:?}");
        return Err(not_locked(&reason));
    }
    if field("MultiRegion") != Some(&Value::Bool(false)) {
        return Err(not_locked("it is a multi-region key"));
    }
    Ok(())
}

/// Checks the JSON text of a policy.
pub fn check(policy: &str) -> Result<Grants, Failure> {
    let document =
        strict_json::parse_object(policy.as_bytes()).map_err(|error| not_locked(&error))?;
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().map(statement).collect::<Result<Vec<_>, _>>()?,
        Some(single) => vec![statement(single)?],
        None => return Err(not_locked("it has no statements")),
    };
    let denied: Vec<&Statement> = statements.iter().filter(|one| one.guards()).collect();
    let is_denied = |action: &str| denied.iter().any(|one| one.covers(action));
    for one in statements.iter().filter(|one| one.is_allow) {
        if one.for_everyone {
            return Err(not_locked(&format!("{} allows everyone", one.name)));
        }
        for action in WIDENING {
            if one.covers(action) && !is_denied(action) {
                return Err(not_locked(&format!("{} allows {action}", one.name)));
            }
        }
        for action in OPENING {
            if one.covers(action) && !one.requires_document && !is_denied(action) {
                return Err(not_locked(&format!(
                    "{} allows {action} without requiring a document",
                    one.name
                )));
            }
        }
    }
    Ok(if OPENING.into_iter().all(is_denied) {
        Grants::AreDenied
    } else {
        Grants::MustBeNone
    })
}

struct Statement {
    name: String,
    is_allow: bool,
    for_everyone: bool,
    /// In lower case, with `*` and `?`.
    actions: Vec<String>,
    /// Its condition can only hold with a document of certain measurements.
    requires_document: bool,
    /// Its condition holds for every request without the right document.
    holds_without_document: bool,
    for_every_resource: bool,
}

impl Statement {
    fn covers(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions
            .iter()
            .any(|pattern| matches(pattern.as_bytes(), action.as_bytes()))
    }

    /// Denies everyone who has not the right document.
    fn guards(&self) -> bool {
        !self.is_allow
            && self.for_everyone
            && self.for_every_resource
            && self.holds_without_document
    }
}

fn statement(value: &Value) -> Result<Statement, Failure> {
    let Value::Object(fields) = value else {
        return Err(not_locked("a statement is not an object"));
    };
    let name = match fields.get("Sid").and_then(Value::as_str) {
        Some(sid) => format!("the statement {sid:?}"),
        None => "a statement".into(),
    };
    if let Some(unknown) = fields.keys().find(|key| !ELEMENTS.contains(&key.as_str())) {
        return Err(not_locked(&format!(
            "{name} has {unknown}, which is not understood"
        )));
    }
    let is_allow = match fields.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(not_locked(&format!("{name} has no valid Effect"))),
    };
    let actions = texts(fields.get("Action"))
        .ok_or_else(|| not_locked(&format!("{name} has no valid Action")))?;
    let (requires_document, holds_without_document) = conditions(fields);
    Ok(Statement {
        is_allow,
        for_everyone: is_everyone(fields.get("Principal")),
        actions: actions
            .iter()
            .map(|action| action.to_ascii_lowercase())
            .collect(),
        requires_document,
        holds_without_document,
        for_every_resource: texts(fields.get("Resource")).is_some_and(|list| list.contains(&"*")),
        name,
    })
}

/// Whether the condition requires a document; and whether it holds wherever there is none.
fn conditions(fields: &Map<String, Value>) -> (bool, bool) {
    let block = match fields.get("Condition") {
        None => return (false, true),
        Some(Value::Object(block)) => block,
        Some(_) => return (false, false),
    };
    let mut requires = false;
    let mut guards = 0;
    let mut others = 0;
    for (operator, keys) in block {
        let equals = ["StringEquals", "StringEqualsIgnoreCase"].contains(&operator.as_str());
        let differs = ["StringNotEquals", "StringNotEqualsIgnoreCase"].contains(&operator.as_str());
        for (key, value) in keys.as_object().into_iter().flatten() {
            let measures =
                MEASURING.contains(&key.to_ascii_lowercase().as_str()) && is_measurement(value);
            requires |= equals && measures;
            if differs && measures {
                guards += 1;
            } else {
                others += 1;
            }
        }
    }
    // All must hold: with two, a document that has one of the values and not the other is not denied.
    (requires, others == 0 && guards == 1)
}

/// SHA-384 values, none of which is the zeros of a debug enclave.
fn is_measurement(value: &Value) -> bool {
    let is_hex = |text: &&str| {
        text.len() == 96
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            && text.bytes().any(|byte| byte != b'0')
    };
    texts(Some(value)).is_some_and(|list| !list.is_empty() && list.iter().all(is_hex))
}

fn is_everyone(principal: Option<&Value>) -> bool {
    match principal {
        Some(Value::String(text)) => text == "*",
        Some(Value::Object(map)) => texts(map.get("AWS")).is_some_and(|list| list.contains(&"*")),
        _ => false,
    }
}

/// A text or a list of texts.
fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// `*` stands for any text, `?` for one character. In time proportional to the product of the lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at, in_text));
                at += 1;
            }
            Some(one) if *one == b'?' || *one == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    at = star + 1;
                    in_text = from + 1;
                    retry = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|one| *one == b'*')
}

pub fn not_locked(reason: &str) -> Failure {
    Failure::new(
        Code::PolicyNotLocked,
        format!("the key is not locked: {reason}"),
    )
}
