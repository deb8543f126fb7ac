//! Responses that must be signed, and a parent that answers what it likes.

mod rig;

use aws_lc_rs::digest::{SHA384, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_kms::client::Kms;
use cloister_kms::credentials::AccessKey;
use cloister_kms::endpoint::{Route, Url};
use cloister_kms::failure::Code;
use cloister_kms::http::{Messages, Request};
use cloister_kms::response_key::ResponseKey;
use cloister_kms::sigv4::parse_authorization;
use rig::{KeyAsDocument, PATIENCE, parent};
use serde_json::{Map, Value, json};

const DATE: &str = "Fri, 27 Nov 2026 12:00:00 GMT";
const NONCE: &str = "x-cloister-response-nonce";
const BODY: &str = r#"{"Keys":[]}"#;

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()
}

fn pinned(key: &EcdsaKeyPair) -> ResponseKey {
    let spki: PublicKeyX509Der = key.public_key().as_der().unwrap();
    let text = STANDARD.encode(spki.as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    ResponseKey::from_pem(pem.as_bytes()).unwrap()
}

fn kms(endpoint: &str, key: &EcdsaKeyPair) -> Kms {
    let route = Route::new(Some(Url::parse(endpoint).unwrap()), None, None).unwrap();
    Kms {
        route: route.pinned(Some(pinned(key))),
        region: "eu-central-1".into(),
        key: AccessKey::new("AKIATEST".into(), "secret".into(), None).unwrap(),
        attester: Box::new(KeyAsDocument),
        uses_nonces: false,
    }
}

fn sha384(bytes: &[u8]) -> String {
    let octets = digest(&SHA384, bytes);
    octets
        .as_ref()
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect()
}

/// What the broker signs. Written down again: both sides must agree on it.
fn signature(key: &EcdsaKeyPair, request: &Request, (status, body): (u16, &str)) -> String {
    let header = |name: &str| request.headers.get(name).unwrap().to_string();
    let text = [
        "CLOISTER-KMS-RESPONSE-V1".to_string(),
        header(NONCE),
        header("x-amz-target"),
        sha384(&request.body),
        status.to_string(),
        DATE.into(),
        "r-1".into(),
        sha384(body.as_bytes()),
    ]
    .map(|line| line + "\n")
    .concat();
    STANDARD.encode(key.sign(&SystemRandom::new(), text.as_bytes()).unwrap())
}

fn http(status: u16, body: &str, signature: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nDate: {DATE}\r\nx-amzn-RequestId: r-1\r\nContent-Length: {}\r\n{signature}\r\n{body}",
        body.len()
    )
}

fn header(signature: &str) -> String {
    format!("x-cloister-response-signature: {signature}\r\n")
}

#[test]
fn reads_what_the_broker_has_signed_and_signs_what_it_asks() {
    let (key, own) = two_of_one_key();
    let (endpoint, served) =
        parent(move |request| http(200, BODY, &header(&signature(&own, request, (200, BODY)))));
    let answer = kms(&endpoint, &key).call("ListKeys", &Map::new()).unwrap();
    assert_eq!(Value::from(answer), json!({ "Keys": [] }));
    let request = served.recv_timeout(PATIENCE).expect("a request");
    let authorization = request.headers.get("authorization").unwrap();
    let signed = parse_authorization(authorization).unwrap().signed_headers;
    assert!(signed.contains(&NONCE.into()));
    assert_eq!(request.headers.get(NONCE).unwrap().len(), 64);
    assert_eq!(request.headers.get("x-cloister-recipient-content"), None);
}

#[test]
fn asks_for_authenticated_content_where_it_sends_a_document() {
    let (key, own) = two_of_one_key();
    let (endpoint, served) =
        parent(move |request| http(200, "{}", &header(&signature(&own, request, (200, "{}")))));
    let refused = kms(&endpoint, &key).generate_random(8).unwrap_err();
    assert_eq!(refused.code, Code::NotAttested);
    let request = served.recv_timeout(PATIENCE).expect("a request");
    let content = request.headers.get("x-cloister-recipient-content");
    assert_eq!(content, Some("AES_256_GCM"));
}

fn two_of_one_key() -> (EcdsaKeyPair, EcdsaKeyPair) {
    let key = new_key();
    let pkcs8 = key.to_pkcs8v1().unwrap();
    let same = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8.as_ref());
    (key, same.unwrap())
}

#[test]
fn refuses_what_the_broker_has_not_signed_for_this_request() {
    type Forge = fn(&EcdsaKeyPair, &Request) -> String;
    let forgeries: [(&str, Forge); 8] = [
        ("no signature", |_, _| http(200, BODY, "")),
        ("not base64", |_, _| http(200, BODY, &header("?"))),
        ("too short", |_, _| http(200, BODY, &header("AAAA"))),
        ("another key", |_, request| {
            let signature = signature(&new_key(), request, (200, BODY));
            http(200, BODY, &header(&signature))
        }),
        ("another body", |key, request| {
            http(200, "{}", &header(&signature(key, request, (200, BODY))))
        }),
        ("another status", |key, request| {
            http(500, BODY, &header(&signature(key, request, (200, BODY))))
        }),
        ("another date", |key, request| {
            let right = http(200, BODY, &header(&signature(key, request, (200, BODY))));
            right.replace("12:00:00", "12:00:01")
        }),
        ("of an earlier request", |key, request| {
            let earlier = request.headers.get(NONCE).unwrap();
            let text = format!(
                "POST / HTTP/1.1\r\n{NONCE}: {}\r\nx-amz-target: TrentService.ListKeys\r\nContent-Length: 2\r\n\r\n{{}}",
                earlier.chars().rev().collect::<String>()
            );
            let other = Messages::new(text.as_bytes()).request().unwrap().unwrap();
            http(200, BODY, &header(&signature(key, &other, (200, BODY))))
        }),
    ];
    for (what, forge) in forgeries {
        let (key, own) = two_of_one_key();
        let (endpoint, _) = parent(move |request| forge(&own, request));
        let refused = kms(&endpoint, &key).call("ListKeys", &Map::new());
        assert_eq!(refused.unwrap_err().code, Code::Signature, "{what}");
    }
}

#[test]
fn takes_only_public_keys_on_p384() {
    for pem in [
        "",
        "key",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        let refused = ResponseKey::from_pem(pem.as_bytes()).err();
        assert_eq!(refused.unwrap().code, Code::Argument, "{pem}");
    }
}
