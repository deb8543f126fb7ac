//! What the condition of a policy's statement requires of a document. `attestation/src/policy/image-identity.ts` has the
//! same lists of registers.
#![forbid(unsafe_code)]

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Sets of registers, in lower case, that identify an image (PCR1 and PCR2 cover it together; a NitroTPM's PCR4 is what
/// boots, PCR12 its command line) or its signer (PCR8, and the Secure Boot policy).
const IDENTITIES: [&[&str]; 6] = [
    &["imagesha384"],
    &["pcr0"],
    &["pcr1", "pcr2"],
    &["nitrotpmpcr4", "nitrotpmpcr12"],
    &["pcr8"],
    &["nitrotpmpcr7"],
];
/// Zeros unless a command line is passed to what boots.
const MAY_BE_ZERO: &str = "nitrotpmpcr12";
const PREFIX: &str = "kms:recipientattestation:";
const ROOT_KEY: &str = "cloister:recipientattestation:rootsha256";

/// Which requests a Deny statement holds for.
#[derive(PartialEq, Eq)]
pub enum Guard {
    /// Some of those without the right document may pass.
    None,
    Always,
    /// All whose document does not have one of certain values in this register.
    Register(String),
    /// All whose document is not under one of these roots.
    Root(Vec<String>),
}

pub struct Conditions {
    /// They can only hold with a document that has certain values in these.
    pub registers: BTreeSet<String>,
    /// They can only hold with a document under one of these.
    pub roots: Option<Vec<String>>,
    pub guard: Guard,
}

/// Reads the `Condition` of a statement.
pub fn conditions(fields: &Map<String, Value>) -> Conditions {
    let mut found = Conditions {
        registers: BTreeSet::new(),
        roots: None,
        guard: Guard::Always,
    };
    let block = match fields.get("Condition") {
        None => return found,
        Some(Value::Object(block)) => block,
        Some(_) => {
            found.guard = Guard::None;
            return found;
        }
    };
    let mut guards = Vec::new();
    for (operator, keys) in block {
        let equals = ["StringEquals", "StringEqualsIgnoreCase"].contains(&operator.as_str());
        let differs = ["StringNotEquals", "StringNotEqualsIgnoreCase"].contains(&operator.as_str());
        let Some(keys) = keys.as_object() else {
            guards.push(Guard::None);
            continue;
        };
        for (key, value) in keys {
            let guard = comparison(&key.to_ascii_lowercase(), value);
            match &guard {
                Guard::Register(register) if equals => {
                    found.registers.insert(register.clone());
                }
                Guard::Root(roots) if equals => found.roots = Some(roots.clone()),
                _ => (),
            }
            guards.push(if differs { guard } else { Guard::None });
        }
    }
    // All must hold: with two, a document that has one of the values and not the other is not denied.
    found.guard = match guards.len() {
        0 => Guard::Always,
        1 => guards.remove(0),
        _ => Guard::None,
    };
    found
}

/// What a document is compared by.
fn comparison(key: &str, value: &Value) -> Guard {
    let Some(values) = texts(Some(value)).filter(|list| !list.is_empty()) else {
        return Guard::None;
    };
    let are_hex = |length: usize| {
        values
            .iter()
            .all(|text| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    if key == ROOT_KEY && are_hex(64) {
        return Guard::Root(values.iter().map(|text| (*text).to_owned()).collect());
    }
    match key.strip_prefix(PREFIX) {
        Some(register) if are_hex(96) && are_measured(&values, register) => {
            Guard::Register(register.to_owned())
        }
        _ => Guard::None,
    }
}

/// None is the zeros of a debug enclave, or of a register that nothing was measured into.
fn are_measured(values: &[&str], register: &str) -> bool {
    let is_measured = |text: &&str| text.bytes().any(|byte| byte != b'0');
    register == MAY_BE_ZERO || values.iter().all(is_measured)
}

/// Whether documents with certain values in these registers are of one image, or of one signer's.
pub fn identify(registers: &BTreeSet<String>) -> bool {
    IDENTITIES
        .iter()
        .any(|set| set.iter().all(|one| registers.contains(*one)))
}

/// A text or a list of texts.
pub fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}
