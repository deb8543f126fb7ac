//! The query of a request: `name=value&…` of known names, each at most once, percent-encoded (RFC 3986
//! section 3.4; a `+` is a `+`). Bytes are base64 or base64url, padded or not.
#![forbid(unsafe_code)]

use crate::problem::Problem;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, DecodePaddingMode::Indifferent};

const PADDING: DecodePaddingMode = Indifferent;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(PADDING),
);

/// The parameters of one request.
#[derive(Debug, Default)]
pub struct Query {
    values: Vec<(&'static str, String)>,
}

impl Query {
    /// # Errors
    /// `ERR_API_PARAMETER` for anything but `known` names with well-formed values.
    pub fn parse(text: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut query = Self::default();
        let pairs = text.unwrap_or_default().split('&');
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| Problem::parameter("a parameter has no value"))?;
            let name = *known.iter().find(|it| **it == name).ok_or_else(|| {
                let known = known.join(", ");
                Problem::parameter(if known.is_empty() {
                    "this path takes no parameters".into()
                } else {
                    format!("unknown parameter; this path takes {known}")
                })
            })?;
            if query.get(name).is_some() {
                return Err(Problem::parameter(format!("{name} is there twice")));
            }
            let value = decode_percent(value)
                .ok_or_else(|| Problem::parameter(format!("{name} is not percent-encoded text")))?;
            query.values.push((name, value));
        }
        Ok(query)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.values.iter().filter(|(known, _)| *known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The bytes of a parameter in base64 or base64url.
    ///
    /// # Errors
    /// `ERR_API_PARAMETER` when they are malformed, or more than `max`.
    pub fn bytes(&self, name: &str, max: usize) -> Result<Option<Vec<u8>>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let standard: String = text
            .chars()
            .map(|char| match char {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect();
        match BASE64.decode(standard) {
            Ok(bytes) if bytes.len() <= max => Ok(Some(bytes)),
            Ok(bytes) => Err(Problem::parameter(format!(
                "{name} has {} bytes; the maximum is {max}",
                bytes.len()
            ))),
            Err(error) => Err(Problem::parameter(format!(
                "{name} is not base64 or base64url: {error}"
            ))),
        }
    }

    /// A whole number from `range`, in decimal.
    ///
    /// # Errors
    /// `ERR_API_PARAMETER` for anything else.
    pub fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|it| is_plain && range.contains(it));
        number.map(Some).ok_or_else(|| {
            let (first, last) = range.into_inner();
            Problem::parameter(format!("{name} must be a number from {first} to {last}"))
        })
    }
}

/// `None` for an incomplete escape, or bytes that are not UTF-8.
fn decode_percent(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
        decoded.push(high << 4 | low);
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Result<Option<Vec<u8>>, Problem> {
        Query::parse(Some(text), &["nonce"])?.bytes("nonce", 4)
    }

    #[test]
    fn takes_base64_in_every_spelling() {
        let value = Some(vec![0xfb, 0xff, 0xbf]);
        for text in ["-_-_", "%2B/%2b%2F", "+/+/"] {
            assert_eq!(bytes(&format!("nonce={text}")).unwrap(), value, "{text}");
        }
        for text in ["AQ", "AQ==", "AQ%3D%3d"] {
            assert_eq!(bytes(&format!("nonce={text}")).unwrap(), Some(vec![1]));
        }
        assert_eq!(bytes("nonce=").unwrap(), Some(vec![]));
        assert_eq!(bytes("").unwrap(), None);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "nonce",
            "other=1",
            "nonce=AQ&nonce=AQ",
            "nonce=%4",
            "nonce=%zz",
            "nonce=%ff",
            "nonce=A",
            "nonce=AR",
            "nonce=A%20Q",
            "nonce=AAECAwQF",
            "Nonce=AQ",
        ] {
            assert_eq!(
                bytes(text).unwrap_err().kind.code,
                "ERR_API_PARAMETER",
                "{text}"
            );
        }
    }

    #[test]
    fn takes_numbers_of_the_range_alone() {
        let number = |text: &str| Query::parse(Some(text), &["bytes"])?.number("bytes", 1..=64);
        assert_eq!(number("bytes=64").unwrap(), Some(64));
        for text in [
            "0",
            "65",
            "-1",
            "+1",
            "1e1",
            "",
            "99999999999999999999",
            "%EF%BC%91",
        ] {
            assert!(number(&format!("bytes={text}")).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_queries_are_refused_or_read(text: String) {
            let _ = bytes(&text);
            let _ = bytes(&format!("nonce={text}"));
        }
    }
}
