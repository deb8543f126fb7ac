//! Whether a key's policy is locked: nobody can extend or bypass it, and what opens the key requires an attestation
//! document of certain measurements. `kms-client/src/locked-policy.ts` decides the same; both are tested with
//! `test/fixtures/kms/locked-policies.json`. Stricter than an evaluation of the policy: what it does not understand, it
//! refuses. On AWS, the account's owner can still have AWS's support replace a policy.
#![forbid(unsafe_code)]

use crate::document_conditions::{Conditions, Guard, conditions, identify, texts};
use crate::failure::{Code, Failure};
use crate::strict_json;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Anyone allowed one of these can open the key to others, or take its ciphertexts to another key.
const WIDENING: [&str; 4] = [
    "kms:PutKeyPolicy",
    "kms:CreateGrant",
    "kms:ReEncryptFrom",
    "kms:ReplicateKey",
];
/// What answers to a document, with secrets or signatures of the key. On AWS, Sign takes no document.
const GATED: [&str; 5] = [
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:DeriveSharedSecret",
    "kms:Sign",
];
/// What uses the key and takes no document: only a Deny holds it back.
const DOCUMENTLESS: [&str; 3] = ["kms:GenerateMac", "kms:Decapsulate", "kms:ReEncryptFrom"];
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

/// What a key must be locked for.
#[derive(Default)]
pub struct Expected<'a> {
    /// The key's `KeyUsage`: grants for anything else open nothing. Any use when it is empty.
    pub usage: &'a str,
    /// SHA-256 of the DER of roots, in hexadecimal digits: documents under others must not open the key. Any root when
    /// it is empty.
    pub roots: &'a [&'a str],
}

/// Checks what DescribeKey answers, and returns the key's use. Material that was imported is still with its importer,
/// whatever the policy says; the owner of a CloudHSM cluster can use its keys without KMS; a replica in another region
/// has a policy of its own.
pub fn check_material(description: &Map<String, Value>) -> Result<&str, Failure> {
    let field = |name: &str| description.get("KeyMetadata").and_then(|it| it.get(name));
    let origin = field("Origin").and_then(Value::as_str).unwrap_or_default();
    if origin != "AWS_KMS" {
        let reason = format!("its material was not made in KMS: Origin is {origin:?}");
        return Err(not_locked(&reason));
    }
    if field("MultiRegion") != Some(&Value::Bool(false)) {
        return Err(not_locked("it is a multi-region key"));
    }
    Ok(field("KeyUsage")
        .and_then(Value::as_str)
        .unwrap_or_default())
}

/// Checks the JSON text of a policy.
pub fn check(policy: &str, expected: &Expected<'_>) -> Result<Grants, Failure> {
    let document =
        strict_json::parse_object(policy.as_bytes()).map_err(|error| not_locked(&error))?;
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().map(statement).collect::<Result<Vec<_>, _>>()?,
        Some(single) => vec![statement(single)?],
        None => return Err(not_locked("it has no statements")),
    };
    let guards = Guards(statements.iter().filter(|one| one.guards()).collect());
    for one in statements.iter().filter(|one| one.is_allow) {
        check_allow(one, &guards, expected)?;
    }
    Ok(if opening(expected.usage).all(|one| guards.deny(one)) {
        Grants::AreDenied
    } else {
        Grants::MustBeNone
    })
}

fn check_allow(
    one: &Statement,
    guards: &Guards<'_>,
    expected: &Expected<'_>,
) -> Result<(), Failure> {
    let refused = |what: &str| Err(not_locked(&format!("{} {what}", one.name)));
    if one.for_everyone {
        return refused("allows everyone");
    }
    for action in WIDENING.into_iter().chain(DOCUMENTLESS) {
        if one.covers(action) && !guards.deny(action) {
            return refused(&format!("allows {action}"));
        }
    }
    for action in GATED.into_iter().filter(|action| one.covers(action)) {
        if !guards.identify(action, &one.registers) {
            let without = "without requiring a document that identifies the image";
            return refused(&format!("allows {action} {without}"));
        }
        let names_root = one
            .roots
            .as_ref()
            .is_some_and(|roots| within(roots, expected));
        if !expected.roots.is_empty() && !names_root && !guards.require_root(action, expected) {
            return refused(&format!("allows {action} for documents under other roots"));
        }
    }
    Ok(())
}

/// What opens a key of this use.
fn opening(usage: &str) -> impl Iterator<Item = &'static str> {
    let uses: &[&str] = match usage {
        "ENCRYPT_DECRYPT" => &[
            "kms:Decrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyPair",
            "kms:ReEncryptFrom",
        ],
        "SIGN_VERIFY" => &["kms:Sign"],
        "GENERATE_VERIFY_MAC" => &["kms:GenerateMac"],
        "KEY_AGREEMENT" => &["kms:DeriveSharedSecret"],
        "ENCAPSULATE_DECAPSULATE" => &["kms:Decapsulate"],
        _ => &[],
    };
    GATED
        .into_iter()
        .chain(DOCUMENTLESS)
        .filter(move |action| uses.is_empty() || uses.contains(action))
}

fn within(roots: &[String], expected: &Expected<'_>) -> bool {
    let is_expected = |root: &String| {
        let mut accepted = expected.roots.iter();
        accepted.any(|one| one.eq_ignore_ascii_case(root))
    };
    roots.iter().all(is_expected)
}

/// The statements that deny everyone who has not the right document.
struct Guards<'a>(Vec<&'a Statement>);

impl Guards<'_> {
    fn of<'b>(&'b self, action: &'b str) -> impl Iterator<Item = &'b Statement> {
        self.0.iter().copied().filter(move |one| one.covers(action))
    }

    fn always_deny(&self, action: &str) -> bool {
        self.of(action).any(|one| one.guard == Guard::Always)
    }

    /// Without a document, any register will do: what takes none is always denied.
    fn deny(&self, action: &str) -> bool {
        let has_register = |one: &Statement| matches!(one.guard, Guard::Register(_));
        let takes_none = !GATED.contains(&action) && self.of(action).any(has_register);
        takes_none || self.identify(action, &BTreeSet::new())
    }

    /// Whether these registers and those that the guards require identify an image.
    fn identify(&self, action: &str, own: &BTreeSet<String>) -> bool {
        let mut registers = own.clone();
        registers.extend(self.of(action).filter_map(|one| match &one.guard {
            Guard::Register(register) => Some(register.clone()),
            _ => None,
        }));
        self.always_deny(action) || identify(&registers)
    }

    fn require_root(&self, action: &str, expected: &Expected<'_>) -> bool {
        let requires = |one: &Statement| match &one.guard {
            Guard::Root(roots) => within(roots, expected),
            _ => false,
        };
        self.always_deny(action) || self.of(action).any(requires)
    }
}

struct Statement {
    name: String,
    is_allow: bool,
    for_everyone: bool,
    /// In lower case, with `*` and `?`.
    actions: Vec<String>,
    /// Its conditions can only hold with a document that has certain values in these.
    registers: BTreeSet<String>,
    /// Its conditions can only hold with a document under one of these.
    roots: Option<Vec<String>>,
    guard: Guard,
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
        !self.is_allow && self.for_everyone && self.for_every_resource && self.guard != Guard::None
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
    let Conditions {
        registers,
        roots,
        guard,
    } = conditions(fields);
    Ok(Statement {
        is_allow,
        for_everyone: is_everyone(fields.get("Principal")),
        actions: actions
            .iter()
            .map(|action| action.to_ascii_lowercase())
            .collect(),
        registers,
        roots,
        guard,
        for_every_resource: texts(fields.get("Resource")).is_some_and(|list| list.contains(&"*")),
        name,
    })
}

fn is_everyone(principal: Option<&Value>) -> bool {
    match principal {
        Some(Value::String(text)) => text == "*",
        Some(Value::Object(map)) => texts(map.get("AWS")).is_some_and(|list| list.contains(&"*")),
        _ => false,
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
