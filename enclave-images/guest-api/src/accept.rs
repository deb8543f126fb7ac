//! Which of the offered types a client prefers (RFC 9110 section 12.5.1; parameters other than `q` are
//! ignored).
#![forbid(unsafe_code)]

use crate::problem::{self, Problem};
use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap};

pub const JSON: &str = "application/json";
pub const CBOR: &str = "application/cbor";

/// The offered type of the greatest weight, of equal ones the first.
///
/// # Errors
/// `ERR_API_ACCEPT` when the client accepts none.
pub fn choose(headers: &HeaderMap, offered: &[&'static str]) -> Result<&'static str, Problem> {
    let values = headers.get_all(ACCEPT).iter();
    let ranges: Vec<_> = values
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(parse_range)
        .collect();
    if ranges.is_empty() {
        return Ok(offered[0]);
    }
    let mut best = None;
    for kind in offered {
        let weight = weight_of(kind, &ranges);
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, *kind));
        }
    }
    best.map(|(_, kind)| kind).ok_or_else(|| {
        let message = format!("this path answers with {}", offered.join(" or "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, problem::ACCEPT, message)
    })
}

/// A range, and its weight in thousandths; a malformed weight is none.
fn parse_range(text: &str) -> (&str, u32) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let weight = parts
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .map_or(Some(1.0), |text| text.parse::<f32>().ok());
    let weight = weight.filter(|it| (0.0..=1.0).contains(it)).unwrap_or(0.0);
    (range, (weight * 1000.0) as u32)
}

/// That of the most specific range.
fn weight_of(kind: &str, ranges: &[(&str, u32)]) -> u32 {
    let find = |wanted: &str| {
        let mut found = ranges
            .iter()
            .filter(|(range, _)| range.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, weight)| *weight)
    };
    find(kind)
        .or_else(|| find("application/*"))
        .or_else(|| find("*/*"))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &'static str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        choose(&headers, &[JSON, CBOR]).ok()
    }

    #[test]
    fn the_client_s_weights_decide() {
        assert_eq!(choose(&HeaderMap::new(), &[JSON, CBOR]).unwrap(), JSON);
        assert_eq!(chosen("*/*"), Some(JSON));
        assert_eq!(chosen("application/cbor"), Some(CBOR));
        assert_eq!(chosen("Application/CBOR;q=0.5"), Some(CBOR));
        assert_eq!(
            chosen("application/json;q=0.1, application/cbor"),
            Some(CBOR)
        );
        assert_eq!(
            chosen("text/html, application/*;q=0.8, */*;q=0.1"),
            Some(JSON)
        );
        assert_eq!(chosen("*/*, application/json;q=0"), Some(CBOR));
        assert_eq!(chosen("text/html"), None);
        assert_eq!(chosen("application/json;q=x"), None);
    }
}
