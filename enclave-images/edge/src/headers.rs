//! Fields of a message that are for the next hop alone (RFC 9110 section 7.6.1), and those by which a proxy
//! tells a program who asks: a client must not be able to say them itself.
#![forbid(unsafe_code)]

use hyper::header::{
    CONNECTION, COOKIE, EXPECT, FORWARDED, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
];
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FORWARDED_PREFIX: &str = "x-forwarded-";
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Takes away what is for the next hop alone.
pub fn end_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove(PROXY_CONNECTION);
}

/// The protocol that a request asks to change to, unless that is HTTP itself.
pub fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    let is_listed = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    let wanted_in_lower_case = wanted.as_bytes().to_ascii_lowercase();
    let is_http = wanted_in_lower_case.windows(3).any(|it| it == b"h2c");
    (is_listed && !is_http).then(|| wanted.clone())
}

/// Asks the next hop for the same change.
pub fn ask_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// What the program learns of who asks: that it was over TLS.
pub fn introduce(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(&as_programs_read(name)))
        .cloned()
        .collect();
    for name in claims.iter().chain(&[EXPECT]) {
        headers.remove(name);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
}

fn is_claim(name: &str) -> bool {
    name.starts_with(FORWARDED_PREFIX) || [FORWARDED, REAL_IP].iter().any(|it| it == name)
}

/// CGI (RFC 3875 section 4.1.18), and with it WSGI, Rack and PHP, tell `-` and `_` in a name apart no more.
fn as_programs_read(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}

/// HTTP/2 may split what HTTP/1.1 has in one field (RFC 9113 section 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let values: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if values.len() < 2 {
        return;
    }
    // The bytes were those of values, so they are those of a value.
    if let Ok(joined) = HeaderValue::from_bytes(&values.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_static(value);
            (HeaderName::from_static(name), value)
        });
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn what_is_for_one_hop_ends_there() {
        let mut given = headers(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-public", "2"),
        ]);
        end_hop(&mut given);
        assert_eq!(given, headers(&[("x-public", "2")]));
    }

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let mut given = headers(&[
            ("forwarded", "for=127.0.0.1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-client-cert", "x"),
            ("x-real-ip", "127.0.0.1"),
            ("x_forwarded_for", "127.0.0.1"),
            ("x_forwarded-proto", "http"),
            ("x-real_ip", "127.0.0.1"),
            ("x_request_id", "1"),
            ("accept", "*/*"),
        ]);
        introduce(&mut given);
        assert_eq!(
            given,
            headers(&[
                ("x_request_id", "1"),
                ("accept", "*/*"),
                ("x-forwarded-proto", "https")
            ])
        );
    }

    #[test]
    fn cookies_that_came_apart_are_one_field() {
        let mut given = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut given);
        assert_eq!(given, headers(&[("cookie", "a=1; b=2")]));
    }

    #[test]
    fn an_upgrade_is_one_that_the_connection_names() {
        let asked = |pairs| upgrade_of(&headers(pairs)).is_some();
        assert!(asked(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket")
        ]));
        assert!(!asked(&[("upgrade", "websocket")]));
        assert!(!asked(&[("connection", "upgrade"), ("upgrade", "h2c")]));
        assert!(!asked(&[("connection", "upgrade"), ("upgrade", "H2C")]));
    }
}
