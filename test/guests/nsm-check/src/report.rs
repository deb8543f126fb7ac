//! What was found.
#![forbid(unsafe_code)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// `Err` says what was seen instead.
pub type Outcome = Result<(), String>;

#[derive(Default, Serialize)]
pub struct Report {
    claims: RefCell<Vec<Finding>>,
    facts: RefCell<BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct Finding {
    claim: &'static str,
    failure: Option<String>,
}

impl Report {
    pub fn check(&self, claim: &'static str, outcome: Outcome) {
        let failure = outcome.err();
        self.claims.borrow_mut().push(Finding { claim, failure });
    }

    /// Bytes for the other end to judge.
    pub fn fact(&self, name: &str, bytes: &[u8]) {
        let text = STANDARD.encode(bytes);
        self.facts.borrow_mut().insert(name.into(), text);
    }
}

/// `Ok` when the two are equal.
pub fn same<T: PartialEq + std::fmt::Debug>(actual: T, expected: T) -> Outcome {
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{actual:?} instead of {expected:?}"))
    }
}

/// The first failure of many.
pub fn each<T>(items: impl IntoIterator<Item = T>, check: impl Fn(T) -> Outcome) -> Outcome {
    items.into_iter().try_for_each(check)
}
