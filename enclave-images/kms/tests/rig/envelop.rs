//! `CiphertextForRecipient` as AWS KMS makes it.

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};

/// CMS as AWS KMS makes it, of definite lengths.
pub fn envelop(plaintext: &[u8], spki: &[u8]) -> Vec<u8> {
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
