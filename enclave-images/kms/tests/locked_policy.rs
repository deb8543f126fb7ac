//! Which key policies are taken for locked.

use cloister_kms::client::Kms;
use cloister_kms::credentials::AccessKey;
use cloister_kms::document::Attester;
use cloister_kms::endpoint::{Route, Url};
use cloister_kms::failure::{Code, Failure};
use cloister_kms::http::Messages;
use cloister_kms::locked_policy::{self, Expected, Grants};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::thread;

/// Policies and verdicts that this check and the one in `kms-client` share.
const TABLE: &str = include_str!("../../../test/fixtures/kms/locked-policies.json");
const PCR: &str = "a8afce4193233afd3d4043a933ee7d32a8afce4193233afd3d4043a933ee7d32a8afce4193233afd3d4043a933ee7d32";

fn check(text: &str) -> Result<Grants, Failure> {
    let expected = Expected {
        usage: "ENCRYPT_DECRYPT",
        roots: &[],
    };
    locked_policy::check(text, &expected)
}

fn policy(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn allow(action: Value) -> Value {
    json!({ "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:user/a" }, "Action": action, "Resource": "*" })
}

fn with(mut statement: Value, name: &str, value: Value) -> Value {
    statement[name] = value;
    statement
}

fn measured(operator: &str) -> Value {
    json!({ operator: { "kms:RecipientAttestation:PCR0": PCR } })
}

fn enclave() -> Value {
    with(
        allow(json!("kms:Decrypt")),
        "Condition",
        measured("StringEqualsIgnoreCase"),
    )
}

fn guard() -> Value {
    json!({
        "Effect": "Deny", "Principal": "*", "Resource": "*",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair",
            "kms:DeriveSharedSecret", "kms:ReEncryptFrom", "kms:CreateGrant"],
        "Condition": measured("StringNotEqualsIgnoreCase"),
    })
}

fn admin() -> Value {
    allow(json!(["kms:DescribeKey", "kms:Encrypt", "kms:DisableKey"]))
}

#[test]
fn decides_as_the_other_client_does() {
    let table: Vec<Value> = serde_json::from_str(TABLE).unwrap();
    for row in table {
        let roots: Vec<&str> = row["roots"]
            .as_array()
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let expected = Expected {
            usage: row["usage"].as_str().unwrap_or("ENCRYPT_DECRYPT"),
            roots: &roots,
        };
        let statements = row["statements"].as_array().unwrap();
        let verdict = match locked_policy::check(&policy(statements), &expected) {
            Ok(Grants::AreDenied) => "grants are denied",
            Ok(Grants::MustBeNone) => "without grants",
            Err(_) => "refused",
        };
        assert_eq!(verdict, row["verdict"], "{}", row["name"]);
    }
}

#[test]
fn accepts_a_policy_that_only_opens_with_a_document() {
    assert_eq!(
        check(&policy(&[admin(), enclave(), guard()])),
        Ok(Grants::AreDenied)
    );
    assert_eq!(
        check(&policy(&[admin(), enclave()])),
        Ok(Grants::MustBeNone)
    );
}

#[test]
fn accepts_a_wide_administrator_where_a_deny_covers_what_widens() {
    let deny = json!({ "Effect": "Deny", "Principal": { "AWS": "*" }, "Resource": "*",
        "Action": ["kms:PutKeyPolicy", "kms:ReplicateKey"] });
    let create = allow(json!("kms:Create*"));
    assert_eq!(
        check(&policy(&[create, enclave(), guard(), deny])),
        Ok(Grants::AreDenied)
    );
}

#[test]
fn refuses_what_lets_anyone_extend_or_bypass_the_policy() {
    let everyone_but_one = with(
        guard(),
        "Principal",
        json!({ "AWS": "arn:aws:iam::111122223333:user/b" }),
    );
    let deny_of_one_image = with(guard(), "Condition", measured("StringEquals"));
    let deny_on_condition = json!({ "Effect": "Deny", "Principal": "*", "Resource": "*", "Action": "kms:PutKeyPolicy",
        "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
    let zeros = json!({ "StringEquals": { "kms:RecipientAttestation:PCR0": "0".repeat(96) } });
    let wildcard = json!({ "StringLike": { "kms:RecipientAttestation:PCR0": "*" } });
    let if_exists = json!({ "StringEqualsIfExists": { "kms:RecipientAttestation:PCR0": PCR } });
    let decrypt = |condition: Value| with(allow(json!("kms:Decrypt")), "Condition", condition);
    let refused = [
        vec![allow(json!("kms:*")), guard()],
        vec![allow(json!("*"))],
        vec![enclave(), allow(json!("kms:PutKeyPolicy"))],
        vec![enclave(), allow(json!("KMS:putkeypolicy"))],
        vec![enclave(), allow(json!("kms:Put*"))],
        vec![enclave(), allow(json!("kms:???KeyPolic?"))],
        vec![enclave(), allow(json!("kms:CreateGrant"))],
        vec![enclave(), allow(json!("kms:ReEncrypt*"))],
        vec![enclave(), allow(json!("kms:ReplicateKey")), guard()],
        vec![enclave(), allow(json!("kms:CreateGrant")), everyone_but_one],
        vec![
            enclave(),
            allow(json!("kms:CreateGrant")),
            deny_of_one_image,
        ],
        vec![
            enclave(),
            allow(json!("kms:PutKeyPolicy")),
            deny_on_condition,
        ],
        vec![allow(json!("kms:Decrypt"))],
        vec![decrypt(zeros)],
        vec![decrypt(wildcard)],
        vec![decrypt(if_exists)],
        vec![decrypt(measured("StringNotEquals"))],
        vec![
            enclave(),
            with(
                json!({ "Effect": "Allow", "Principal": "*", "Resource": "*" }),
                "NotAction",
                json!("kms:Sign"),
            ),
        ],
        vec![with(enclave(), "Effect", json!("allow"))],
        vec![with(enclave(), "Action", json!({}))],
        vec![json!("Allow")],
    ];
    for statements in refused {
        let text = policy(&statements);
        assert_eq!(
            check(&text).map_err(|failure| failure.code),
            Err(Code::PolicyNotLocked),
            "{text}"
        );
    }
    for text in ["", "[]", "{}", r#"{"Statement":[],"Statement":[]}"#] {
        assert_eq!(
            check(text).map_err(|failure| failure.code),
            Err(Code::PolicyNotLocked),
            "{text}"
        );
    }
}

struct NoDocuments;

impl Attester for NoDocuments {
    fn attest(&self, _: &[u8], _: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        panic!("no document is needed to read a policy")
    }
}

/// What `require_locked_policy` says of a key with a locked policy and this description.
fn verdict(metadata: Value) -> Result<(), Code> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = Messages::new(&stream).request().unwrap().unwrap();
            let body = match request.headers.get("x-amz-target") {
                Some("TrentService.DescribeKey") => json!({ "KeyMetadata": metadata }),
                Some("TrentService.ListGrants") => json!({ "Grants": [] }),
                _ => json!({ "Policy": policy(&[admin(), enclave()]) }),
            };
            let body = body.to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    let kms = Kms {
        route: Route::new(Some(Url::parse(&endpoint).unwrap()), None, None).unwrap(),
        region: "eu-central-1".into(),
        key: AccessKey::new("AKIATEST".into(), "secret".into(), None).unwrap(),
        attester: Box::new(NoDocuments),
        uses_nonces: false,
    };
    kms.require_locked_policy("k")
        .map_err(|failure| failure.code)
}

#[test]
fn refuses_a_key_whose_material_may_be_elsewhere() {
    let made = json!({ "Origin": "AWS_KMS", "MultiRegion": false });
    assert_eq!(verdict(made), Ok(()));
    for metadata in [
        json!({ "Origin": "EXTERNAL", "MultiRegion": false }),
        json!({ "Origin": "AWS_CLOUDHSM", "MultiRegion": false }),
        json!({ "Origin": "EXTERNAL_KEY_STORE", "MultiRegion": false }),
        json!({ "Origin": ["AWS_KMS"], "MultiRegion": false }),
        json!({ "MultiRegion": false }),
        json!({ "Origin": "AWS_KMS", "MultiRegion": true }),
        json!({ "Origin": "AWS_KMS" }),
        json!(null),
    ] {
        let shown = metadata.to_string();
        assert_eq!(verdict(metadata), Err(Code::PolicyNotLocked), "{shown}");
    }
}
