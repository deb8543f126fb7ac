//! CiphertextForRecipient: AWS's values, values that openssl makes, and their mutated twins.

mod rig;

use cloister_kms::cms::{self, Content, Form, MAX_CMS_BYTES};
use cloister_kms::failure::Code;
use cloister_kms::recipient::RecipientKey;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const OCTETS: &[u8] = include_bytes!("vectors/sdkc-input-ber.der");
const PRIMITIVE: &[u8] = include_bytes!("vectors/sdkc-input-ber-ctx.der");
const HELLO: &[u8] = include_bytes!("vectors/enclaver-hello-world.der");
const AUTHENTICATED: &[u8] = include_bytes!("vectors/openssl-auth-enveloped.der");
const HELLO_KEY: &[u8] = include_bytes!("vectors/enclaver-test-key.pk8.der");

fn hello_key() -> RecipientKey {
    RecipientKey::from_pkcs8(HELLO_KEY).unwrap()
}

#[test]
fn opens_a_value_of_aws() {
    let plaintext = hello_key().open(HELLO, Form::Enveloped).unwrap();
    assert_eq!(*plaintext, b"Hello, World");
}

#[test]
fn opens_auth_enveloped_data_and_only_as_such() {
    let plaintext = hello_key()
        .open(AUTHENTICATED, Form::AuthEnveloped)
        .unwrap();
    assert_eq!(*plaintext, b"Hello, AuthEnvelopedData");
    for (value, form) in [
        (AUTHENTICATED, Form::Enveloped),
        (HELLO, Form::AuthEnveloped),
    ] {
        assert_eq!(hello_key().open(value, form).unwrap_err().code, Code::Cms);
    }
}

#[test]
fn refuses_auth_enveloped_data_that_was_changed_anywhere() {
    let length = AUTHENTICATED.len();
    // Every octet of the content and its MAC, and some of the encrypted key.
    for at in (135..391).step_by(16).chain(438..length) {
        let mut changed = AUTHENTICATED.to_vec();
        changed[at] ^= 1;
        let opened = hello_key().open(&changed, Form::AuthEnveloped);
        assert_eq!(opened.unwrap_err().code, Code::Cms, "octet {at}");
    }
}

/// The IV, and how many octets are encrypted.
fn cbc(value: &[u8]) -> ([u8; 16], usize) {
    match cms::parse(value, Form::Enveloped).unwrap().content {
        Content::Cbc { iv, ciphertext } => (iv, ciphertext.len()),
        Content::Gcm { .. } => panic!("AES-GCM in EnvelopedData"),
    }
}

#[test]
fn reads_both_shapes_of_the_content() {
    let octets = cms::parse(OCTETS, Form::Enveloped).unwrap();
    assert_eq!(octets.encrypted_key.len(), 256);
    let (iv, length) = cbc(OCTETS);
    assert_eq!((&iv[..4], length), (&[0x68, 0x8c, 0x6d, 0x5f][..], 48));
    let (iv, length) = cbc(PRIMITIVE);
    assert_eq!((&iv[..4], length), (&[0xe6, 0x6c, 0x11, 0x72][..], 16));
}

#[test]
fn opens_what_openssl_encrypts() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = |name: &str| directory.join(format!("cms-openssl-{name}"));
    fs::write(path("key.pk8"), HELLO_KEY).unwrap();
    let key_id = sha256_of_spki();
    openssl(
        &["pkey", "-inform", "DER", "-out"],
        &[&path("key.pem"), Path::new("-in"), &path("key.pk8")],
    );
    let certificate = path("certificate.pem");
    openssl(
        &[
            "req",
            "-x509",
            "-subj",
            "/CN=recipient",
            "-addext",
            &format!("subjectKeyIdentifier={key_id}"),
            "-key",
        ],
        &[&path("key.pem"), Path::new("-out"), &certificate],
    );
    let forms = [
        ("-aes-256-cbc", Form::Enveloped),
        ("-aes-256-gcm", Form::AuthEnveloped),
    ];
    for (length, (cipher, form)) in [0_usize, 1, 15, 16, 32, 4096]
        .into_iter()
        .flat_map(|length| forms.map(|form| (length, form)))
    {
        let plaintext: Vec<u8> = (0..length).map(|at| at as u8).collect();
        fs::write(path("plaintext"), &plaintext).unwrap();
        openssl(
            &[
                "cms",
                "-encrypt",
                "-binary",
                cipher,
                "-keyid",
                "-outform",
                "DER",
                "-recip",
                certificate.to_str().unwrap(),
                "-keyopt",
                "rsa_padding_mode:oaep",
                "-keyopt",
                "rsa_oaep_md:sha256",
                "-keyopt",
                "rsa_mgf1_md:sha256",
                "-in",
            ],
            &[&path("plaintext"), Path::new("-out"), &path("cms.der")],
        );
        let opened = hello_key()
            .open(&fs::read(path("cms.der")).unwrap(), form)
            .unwrap();
        assert_eq!(*opened, plaintext);
    }
}

fn sha256_of_spki() -> String {
    cloister_kms::sigv4::sha256_hex(hello_key().spki())
}

fn openssl(words: &[&str], paths: &[&Path]) {
    let output = Command::new("openssl")
        .args(words)
        .args(paths)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn refuses_a_value_for_another_key() {
    let values = [
        (HELLO, Form::Enveloped),
        (AUTHENTICATED, Form::AuthEnveloped),
    ];
    for (value, form) in values {
        let other = RecipientKey::generate().unwrap();
        assert_eq!(other.open(value, form).unwrap_err().code, Code::Cms);
    }
    let opened = hello_key().open(OCTETS, Form::Enveloped);
    assert_eq!(opened.unwrap_err().code, Code::Cms);
}

/// The values with what each is.
const VALUES: [(&[u8], Form); 4] = [
    (HELLO, Form::Enveloped),
    (OCTETS, Form::Enveloped),
    (PRIMITIVE, Form::Enveloped),
    (AUTHENTICATED, Form::AuthEnveloped),
];

#[test]
fn refuses_every_truncation_and_every_extension() {
    for (vector, form) in VALUES {
        let refused = |value: &[u8]| {
            assert_eq!(cms::parse(value, form).unwrap_err().code, Code::Cms);
        };
        for length in 0..vector.len() {
            refused(&vector[..length]);
        }
        refused(&[vector, &[0]].concat());
        refused(&vec![0x30; MAX_CMS_BYTES + 1]);
    }
}

/// A change is either noticed, or is in what only decryption can check.
#[test]
fn notices_every_flipped_bit_of_the_structure() {
    for (vector, form) in VALUES {
        let original = cms::parse(vector, form).unwrap();
        let content = match &original.content {
            Content::Cbc { iv, ciphertext } => iv.len() + ciphertext.len(),
            Content::Gcm { nonce, sealed } => nonce.len() + sealed.len(),
        };
        let opaque = 32 + original.encrypted_key.len() + content;
        let accepted = (0..vector.len() * 8)
            .filter(|bit| {
                let mut flipped = vector.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                cms::parse(&flipped, form).is_ok_and(|parsed| parsed != original)
            })
            .count();
        assert_eq!(accepted, opaque * 8);
    }
}

/// Runs many quick mutations, in which some structure survives.
#[test]
fn neither_panics_nor_accepts_what_it_cannot_hold() {
    let mut next = rig::bounded_numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..200_000 {
        let (vector, form) = VALUES[next(VALUES.len())];
        let mut value = vector.to_vec();
        for _ in 0..=next(3) {
            let at = next(value.len());
            match next(4) {
                0 => value[at] = next(256) as u8,
                1 => value[at] = [0, 0x80, 0x84, 0xff][next(4)],
                2 => drop(value.drain(at..(at + 1 + next(8)).min(value.len()))),
                _ => value.insert(at, next(256) as u8),
            }
            if value.is_empty() {
                break;
            }
        }
        if let Ok(parsed) = cms::parse(&value, form) {
            assert!(parsed.encrypted_key.len() <= value.len());
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for form in [Form::Enveloped, Form::AuthEnveloped] {
            prop_assert_eq!(cms::parse(&bytes, form).unwrap_err().code, Code::Cms);
        }
    }
}
