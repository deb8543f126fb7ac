//! A step of the boot that failed, in words for the parent.
#![forbid(unsafe_code)]

use std::fmt::Display;

/// What was being done, and why it did not work.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub step: String,
    pub error: String,
}

impl Failure {
    pub fn new(step: impl Into<String>, error: impl Display) -> Self {
        Self {
            step: step.into(),
            error: error.to_string(),
        }
    }
}

/// Names the step that a result belongs to.
pub trait Step<T> {
    fn step(self, step: &str) -> Result<T, Failure>;
}

impl<T, E: Display> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, error))
    }
}
