//! Host names (RFC 1123, with underscores) in lower case, and the patterns that rules write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// RFC 1035 section 2.3.4, as text without the final dot.
pub const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A host name in lower case without its final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Reads a name of letters, digits, hyphens and underscores.
    ///
    /// # Errors
    /// A sentence about the text.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        let is_name = text.len() <= MAX_NAME_BYTES && text.split('.').all(is_label);
        if !is_name {
            return Err(format!("{text:?} is not a host name"));
        }
        Ok(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether programs may take it for an IPv4 address in one of its other spellings, such as `127.1` or `0x7f000001`
    /// (inet_aton(3)).
    #[must_use]
    pub fn is_number(&self) -> bool {
        let last = self.0.rsplit('.').next().unwrap_or_default();
        last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit())
    }
}

fn is_label(label: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(is_allowed)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// A host name in which a label may be `*`, any one label, and the first one `**`, one or more labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

impl HostPattern {
    /// The pattern of one name.
    #[must_use]
    pub fn of(name: &Name) -> Self {
        Self(name.0.clone())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn matches(&self, name: &Name) -> bool {
        let (is_open, pattern) = match self.0.strip_prefix("**") {
            Some(rest) => (true, rest.strip_prefix('.').unwrap_or(rest)),
            None => (false, self.0.as_str()),
        };
        let mut labels = name.0.rsplit('.');
        // From the right, where both end.
        let fits = |wanted: &str| {
            labels
                .next()
                .is_some_and(|it| wanted == "*" || wanted == it)
        };
        let is_suffix = pattern.is_empty() || pattern.rsplit('.').all(fits);
        is_suffix && labels.next().is_some() == is_open
    }
}

impl TryFrom<String> for HostPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let labels = lower.split('.').enumerate();
        let is_pattern = lower.len() <= MAX_NAME_BYTES
            && labels.clone().all(|(index, label)| {
                label == "*" || (index == 0 && label == "**") || is_label(label)
            });
        if !is_pattern {
            return Err(format!(
                "{text:?} is not a host name, or one with labels that are '*' or, in front, '**'"
            ));
        }
        // As a name it would never be looked up: programs take it for an address.
        let is_numeric = labels
            .last()
            .is_some_and(|(_, label)| label.bytes().all(|byte| byte.is_ascii_digit()));
        if is_numeric {
            return Err(format!("{text:?} is not a host name: write it as a cidr"));
        }
        Ok(Self(lower))
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label_and_two_are_one_or_more() {
        for (pattern, name, expected) in [
            ("example.com", "example.com", true),
            ("Example.com", "eXample.com", true),
            ("example.com", "a.example.com", false),
            ("example.com", "com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("a.*.com", "a.example.com", true),
            ("**.example.com", "example.com", false),
            ("**.example.com", "a.example.com", true),
            ("**.example.com", "a.b.example.com", true),
            ("**.example.com", "aexample.com", false),
            ("**", "localhost", true),
            ("**", "a.b.c", true),
            ("*", "localhost", true),
            ("*", "a.b", false),
            ("**.*.com", "b.com", false),
            ("**.*.com", "a.b.com", true),
        ] {
            let matches = pattern
                .parse::<HostPattern>()
                .unwrap()
                .matches(&Name::new(name).unwrap());
            assert_eq!(matches, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_name_or_a_pattern() {
        let long = "a.".repeat(127) + "a";
        for text in ["", ".", "a..b", "a.", "a b", "ä.de", "a/b", "a\0", &long] {
            assert!(Name::new(text).is_err(), "{text}");
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        for text in ["a.**", "a*.com", "***", "10.1.2.3", "*.4", "a:443"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
