//! HTTP messages, signatures and JSON from strangers: what the proxy reads before it knows who sent it.

mod rig;

use cloister_kms::http::Messages;
use cloister_kms::sigv4::parse_authorization;
use cloister_kms::strict_json::parse_object;

/// Requests and responses with bytes changed: none panics, none is read beyond its bounds.
#[test]
fn survives_mutated_messages() {
    let seeds = [
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n{\"a\"POST / HTTP/1.1\r\n\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Length: 12\r\n\r\n{\"a\":[1,{}]}".as_slice(),
        b"AWS4-HMAC-SHA256 Credential=A/20261127/r/kms/aws4_request, SignedHeaders=a;b, Signature=00".as_slice(),
    ];
    let mut next = rig::bounded_numbers(0x2545_f491_4f6c_dd1d);
    for _ in 0..100_000 {
        let mut bytes = seeds[next(seeds.len())].to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes.insert(at, b"\r\n:;,=/ 0"[next(9)]),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        let mut messages = Messages::new(bytes.as_slice());
        while let Ok(Some(request)) = messages.request() {
            assert!(request.body.len() <= bytes.len());
        }
        let _ = Messages::new(bytes.as_slice()).response();
        let _ = parse_object(&bytes);
        if let Ok(text) = str::from_utf8(&bytes) {
            let _ = parse_authorization(text);
        }
    }
}
