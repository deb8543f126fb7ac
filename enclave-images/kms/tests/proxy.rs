//! The proxy between a program that signs and a parent that answers what it likes.

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_kms::credentials::{AccessKey, Credentials};
use cloister_kms::document::Attester;
use cloister_kms::endpoint::{Route, Url};
use cloister_kms::failure::Failure;
use cloister_kms::http::{Messages, Request};
use cloister_kms::proxy::{Answer, KeyPool, Proxy};
use cloister_kms::sigv4::{Scope, Signed, parse_authorization};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Ends a test that has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The document is the public key alone: what verifies documents is not part of these tests.
struct KeyAsDocument;

impl Attester for KeyAsDocument {
    fn attest(&self, public_key: &[u8], _: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        Ok(public_key.to_vec())
    }
}

fn access_key() -> AccessKey {
    AccessKey::new("AKIATEST".into(), "secret".into(), Some("token".into())).unwrap()
}

fn proxy(endpoint: &str) -> Proxy {
    Proxy {
        route: Route::new(Some(Url::parse(endpoint).unwrap()), None, None).unwrap(),
        credentials: Credentials {
            fixed: vec![access_key()],
            file: None,
        },
        attester: Box::new(KeyAsDocument),
        keys: KeyPool::start(),
        attests_sign: false,
        uses_nonces: false,
        report: |_| {},
    }
}

/// A request as an SDK signs it, with fields changed after it was signed.
fn request(operation: &str, body: &str, changes: &[(&str, &str)]) -> Request {
    let target = format!("TrentService.{operation}");
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("host", "127.0.0.1:8470"),
        ("x-amz-date", "20261127T120000Z"),
        ("x-amz-security-token", "token"),
        ("x-amz-target", target.as_str()),
    ];
    let scope = Scope {
        date: "20261127".into(),
        region: "eu-central-1".into(),
    };
    let signed = Signed {
        headers: &headers,
        time: headers[2].1,
        scope: &scope,
        body: body.as_bytes(),
    };
    let authorization = signed.authorization(&access_key());
    let mut all: Vec<(&str, &str)> = headers.to_vec();
    all.push(("authorization", &authorization));
    for (name, value) in changes {
        all.retain(|(known, _)| known != name);
        all.push((name, value));
    }
    let lines: String = all
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let text = format!(
        "POST / HTTP/1.1\r\n{lines}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Messages::new(text.as_bytes()).request().unwrap().unwrap()
}

/// Serves one request with what `answer` makes of it, and returns the endpoint and the request.
fn upstream(
    answer: impl FnOnce(&Request) -> String + Send + 'static,
) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, served) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = Messages::new(&stream).request().unwrap().unwrap();
        stream.write_all(answer(&request).as_bytes()).unwrap();
        sender.send(request).unwrap();
    });
    (endpoint, served)
}

fn http(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nx-amzn-RequestId: r-1\r\nX-Other: o\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn recipient_key(request: &Request) -> Vec<u8> {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body["Recipient"]["KeyEncryptionAlgorithm"],
        "RSAES_OAEP_SHA_256"
    );
    STANDARD
        .decode(body["Recipient"]["AttestationDocument"].as_str().unwrap())
        .unwrap()
}

/// CMS as AWS KMS makes it, of definite lengths.
fn envelop(plaintext: &[u8], spki: &[u8]) -> Vec<u8> {
    let (content_key, iv) = ([7_u8; 32], [9_u8; 16]);
    let public =
        OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(spki).unwrap()).unwrap();
    let mut encrypted = vec![0; public.ciphertext_size()];
    public
        .encrypt(&OAEP_SHA256_MGF1SHA256, &content_key, &mut encrypted, None)
        .unwrap();
    let cipher = UnboundCipherKey::new(&AES_256, &content_key).unwrap();
    let mut content = plaintext.to_vec();
    PaddedBlockEncryptingKey::cbc_pkcs7(cipher)
        .unwrap()
        .less_safe_encrypt(
            &mut content,
            EncryptionContext::Iv128(FixedLength::from(iv)),
        )
        .unwrap();
    let id = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki);
    let sha256 = der(
        0x30,
        &[b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00"],
    );
    let mask = der(
        0x30,
        &[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08", &sha256],
    );
    let parameters = der(0x30, &[&der(0xa0, &[&sha256]), &der(0xa1, &[&mask])]);
    let oaep = der(
        0x30,
        &[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07", &parameters],
    );
    let recipient = der(
        0x30,
        &[
            b"\x02\x01\x02",
            &der(0x80, &[id.as_ref()]),
            &oaep,
            &der(0x04, &[&encrypted]),
        ],
    );
    let algorithm = der(
        0x30,
        &[
            b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a",
            &der(0x04, &[&iv]),
        ],
    );
    let info = der(
        0x30,
        &[
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",
            &algorithm,
            &der(0x80, &[&content]),
        ],
    );
    let enveloped = der(0x30, &[b"\x02\x01\x02", &der(0x31, &[&recipient]), &info]);
    der(
        0x30,
        &[
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03",
            &der(0xa0, &[&enveloped]),
        ],
    )
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len() as u16;
    [&[tag, 0x82], length.to_be_bytes().as_slice(), &content].concat()
}

fn body_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn puts_the_plaintext_where_each_operation_has_it() {
    for (operation, field) in [
        ("Decrypt", "Plaintext"),
        ("GenerateDataKey", "Plaintext"),
        ("GenerateRandom", "Plaintext"),
        ("GenerateDataKeyPair", "PrivateKeyPlaintext"),
        ("DeriveSharedSecret", "SharedSecret"),
        ("Sign", "Signature"),
    ] {
        let (endpoint, served) = upstream(move |request| {
            let cms = STANDARD.encode(envelop(b"secret", &recipient_key(request)));
            let mut body = json!({ "KeyId": "k", "CiphertextForRecipient": cms });
            body[field] = Value::Null;
            http(200, &body.to_string())
        });
        let mut proxy = proxy(&endpoint);
        proxy.attests_sign = true;
        let answer = proxy.answer(&request(operation, r#"{"a":{"b":"ü"}}"#, &[]));
        let seen = served.recv_timeout(PATIENCE).expect("a request");
        assert_eq!(
            body_of(&answer),
            json!({ "KeyId": "k", field: STANDARD.encode("secret") })
        );
        assert_eq!(
            (answer.status, answer.headers),
            (200, vec![("x-amzn-requestid", "r-1".into())])
        );
        assert_eq!(
            seen.headers.get("x-amz-target").unwrap(),
            format!("TrentService.{operation}")
        );
        assert_eq!(seen.headers.get("x-amz-security-token"), Some("token"));
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(sent["a"]["b"], "ü");
        assert_signed(&seen);
    }
}

/// What the proxy sends is signed by the caller's key, for the place it is sent to.
fn assert_signed(request: &Request) {
    let authorization = parse_authorization(request.headers.get("authorization").unwrap()).unwrap();
    let headers: Vec<(&str, &str)> = authorization
        .signed_headers
        .iter()
        .map(|name| (name.as_str(), request.headers.get(name).unwrap()))
        .collect();
    let signed = Signed {
        headers: &headers,
        time: request.headers.get("x-amz-date").unwrap(),
        scope: &authorization.scope,
        body: &request.body,
    };
    assert!(signed.is_signed(&authorization, &access_key()));
    assert!(authorization.signed_headers.contains(&"host".into()));
}

#[test]
fn passes_on_operations_without_a_recipient_and_refusals_as_they_are() {
    for (operation, body, status) in [
        ("Encrypt", r#"{"Plaintext":"AA=="}"#, 200),
        ("Sign", r#"{"Message":"AA=="}"#, 200),
        ("Decrypt", r#"{"Recipient":{"own":1}}"#, 200),
        ("Decrypt", r#"{"DryRun":true}"#, 400),
        ("Decrypt", "{}", 503),
    ] {
        let (endpoint, served) = upstream(move |_| http(status, r#"{"x": 1}"#));
        let answer = proxy(&endpoint).answer(&request(operation, body, &[]));
        let seen = served.recv_timeout(PATIENCE).expect("a request");
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (status, br#"{"x": 1}"#.as_slice())
        );
        if status == 200 {
            assert_eq!(seen.body, body.as_bytes());
        }
    }
}

#[test]
fn refuses_what_a_parent_makes_up() {
    let other = || STANDARD.encode(include_bytes!("vectors/enclaver-hello-world.der"));
    let answers = [
        ("NOT_ATTESTED", http(200, r#"{"Plaintext":"AA=="}"#)),
        (
            "NOT_ATTESTED",
            http(
                200,
                &json!({ "Plaintext": "AA==", "CiphertextForRecipient": other() }).to_string(),
            ),
        ),
        ("NOT_ATTESTED", http(200, "{}")),
        ("NOT_ATTESTED", http(200, r#"{"CiphertextForRecipient":7}"#)),
        (
            "CMS",
            http(
                200,
                &json!({ "CiphertextForRecipient": other() }).to_string(),
            ),
        ),
        ("CMS", http(200, r#"{"CiphertextForRecipient":"AA=="}"#)),
        ("RESPONSE", http(200, r#"{"CiphertextForRecipient":"A"}"#)),
        (
            "RESPONSE",
            http(
                200,
                r#"{"CiphertextForRecipient":"AA==","CiphertextForRecipient":"AA=="}"#,
            ),
        ),
        ("RESPONSE", http(200, "[]")),
        ("RESPONSE", "SSH-2.0-x\r\n\r\n".into()),
        ("RESPONSE", "HTTP/1.1 200 OK\r\n\r\n{}".into()),
        (
            "RESPONSE",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}".into(),
        ),
        (
            "RESPONSE",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        ),
        (
            "RESPONSE",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}".into(),
        ),
        (
            "RESPONSE",
            format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(20_000)),
        ),
        (
            "CONNECT",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}".into(),
        ),
        ("CONNECT", String::new()),
    ];
    let not_of_kms = [201, 202, 203, 206, 226, 299, 302, 399]
        .map(|status| ("RESPONSE", http(status, r#"{"Plaintext":"AA=="}"#)));
    for (code, text) in answers.into_iter().chain(not_of_kms) {
        let shown = text.clone();
        let (endpoint, _) = upstream(move |_| text);
        let answer = proxy(&endpoint).answer(&request("Decrypt", "{}", &[]));
        let message = body_of(&answer)["message"].as_str().unwrap().to_string();
        assert!(
            message.starts_with(&format!("ERR_GUEST_KMS_{code}: ")),
            "{shown}: {message}"
        );
        assert!(answer.status >= 500, "{shown}");
    }
}

#[test]
fn refuses_requests_that_a_program_has_not_signed() {
    let valid = request("Decrypt", "{}", &[]);
    let header = valid.headers.get("authorization").unwrap();
    let other_secret = header.replace("Signature=", "Signature=0");
    let other_key = header.replace("AKIATEST", "AKIANONE");
    let unsigned_target = header.replace(";x-amz-target", "");
    let other_service = header.replace("/kms/", "/s3/");
    let region = header.replace("eu-central-1", "evil.example/x");
    for (kind, operation, body, changes) in [
        (
            "MissingAuthenticationTokenException",
            "Decrypt",
            "{}",
            vec![("authorization", "")],
        ),
        (
            "InvalidSignatureException",
            "Decrypt",
            "{}",
            vec![("authorization", other_secret.as_str())],
        ),
        (
            "UnrecognizedClientException",
            "Decrypt",
            "{}",
            vec![("authorization", &other_key)],
        ),
        (
            "IncompleteSignatureException",
            "Decrypt",
            "{}",
            vec![("authorization", &unsigned_target)],
        ),
        (
            "IncompleteSignatureException",
            "Decrypt",
            "{}",
            vec![("authorization", &other_service)],
        ),
        (
            "IncompleteSignatureException",
            "Decrypt",
            "{}",
            vec![("authorization", &region)],
        ),
        (
            "IncompleteSignatureException",
            "Decrypt",
            "{}",
            vec![("x-amz-added", "1")],
        ),
        (
            "InvalidSignatureException",
            "Decrypt",
            "{}",
            vec![("x-amz-target", "TrentService.Encrypt")],
        ),
        (
            "InvalidSignatureException",
            "Decrypt",
            "{}",
            vec![("x-amz-security-token", "other")],
        ),
        (
            "InvalidSignatureException",
            "Decrypt",
            "{}",
            vec![("x-amz-date", "20261128T120000Z")],
        ),
        (
            "IncompleteSignatureException",
            "Decrypt",
            "{}",
            vec![("x-amz-date", "now")],
        ),
        (
            "UnknownOperationException",
            "Decrypt",
            "{}",
            vec![("content-type", "text/plain")],
        ),
        ("UnknownOperationException", "../Decrypt", "{}", vec![]),
        ("ValidationException", "Decrypt", r#"{"a":1,"a":2}"#, vec![]),
        ("ValidationException", "Decrypt", "not JSON", vec![]),
    ] {
        let mut asked = request(operation, body, &changes);
        if changes == [("authorization", "")] {
            asked = Messages::new(b"POST / HTTP/1.1\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-target: TrentService.Decrypt\r\n\r\n".as_slice()).request().unwrap().unwrap();
        }
        let answer = proxy("http://127.0.0.1:1").answer(&asked);
        assert_eq!(
            (answer.status, &body_of(&answer)["__type"]),
            (400, &json!(kind)),
            "{changes:?} {body}"
        );
    }
}

#[test]
fn tells_that_nobody_listens() {
    let answer = proxy("http://127.0.0.1:1").answer(&request("ListKeys", "{}", &[]));
    assert_eq!(
        (answer.status, &body_of(&answer)["__type"]),
        (503, &json!("ServiceUnavailableException"))
    );
}

/// Requests and responses with bytes changed: none panics, none is read beyond its bounds.
#[test]
fn survives_mutated_messages() {
    let seeds = [
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n{\"a\"POST / HTTP/1.1\r\n\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Length: 12\r\n\r\n{\"a\":[1,{}]}".as_slice(),
        b"AWS4-HMAC-SHA256 Credential=A/20261127/r/kms/aws4_request, SignedHeaders=a;b, Signature=00".as_slice(),
    ];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound as u64) as usize
    };
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
        let _ = cloister_kms::strict_json::parse_object(&bytes);
        if let Ok(text) = str::from_utf8(&bytes) {
            let _ = parse_authorization(text);
        }
    }
}
