//! The proxy between a program that signs and a parent that answers what it likes.

mod rig;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_kms::credentials::{AccessKey, Credentials};
use cloister_kms::endpoint::{Route, Url};
use cloister_kms::http::{Messages, Request};
use cloister_kms::proxy::{Answer, KeyPool, Proxy};
use cloister_kms::sigv4::{Scope, Signed, parse_authorization};
use rig::envelop::envelop;
use rig::{KeyAsDocument, PATIENCE, parent};
use serde_json::{Value, json};

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
        let (endpoint, served) = parent(move |request| {
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
        let (endpoint, served) = parent(move |_| http(status, r#"{"x": 1}"#));
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
        let (endpoint, _) = parent(move |_| text);
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
