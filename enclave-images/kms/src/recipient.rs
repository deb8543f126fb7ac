//! The RSA key of one request: its public part goes into the attestation document, and what KMS encrypts for it
//! is opened once. A response to another request is therefore never accepted.
#![forbid(unsafe_code)]

use crate::cms::{self, BLOCK_BYTES, Content, Form, GCM_NONCE_BYTES};
use crate::failure::{Code, Failure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use zeroize::Zeroizing;

/// Bytes of an AES-256 key.
const CONTENT_KEY_BYTES: usize = 32;

/// A fresh RSA key.
pub struct RecipientKey {
    private: PrivateDecryptingKey,
    /// DER SubjectPublicKeyInfo.
    spki: Vec<u8>,
}

impl RecipientKey {
    /// Generates an RSA key of 2048 bits.
    pub fn generate() -> Result<Self, Failure> {
        PrivateDecryptingKey::generate(KeySize::Rsa2048)
            .map_err(|_| internal("an RSA key could not be generated"))
            .and_then(Self::new)
    }

    /// From the DER PKCS #8 form of an RSA key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Failure> {
        PrivateDecryptingKey::from_pkcs8(der)
            .map_err(|_| internal("the RSA key is not valid PKCS #8"))
            .and_then(Self::new)
    }

    fn new(private: PrivateDecryptingKey) -> Result<Self, Failure> {
        let spki = private
            .public_key()
            .as_der()
            .map_err(|_| internal("the RSA key could not be encoded"))?
            .as_ref()
            .to_vec();
        Ok(Self { private, spki })
    }

    /// DER SubjectPublicKeyInfo, for the document's `public_key`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Decrypts a CiphertextForRecipient for this key, and uses the key up.
    pub fn open(self, cms: &[u8], form: Form) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let enveloped = cms::parse(cms, form)?;
        if enveloped.key_id != digest(&SHA256, &self.spki).as_ref() {
            return Err(unopened("it is encrypted for another key"));
        }
        let content_key = self.content_key(enveloped.encrypted_key)?;
        match enveloped.content {
            Content::Cbc { iv, ciphertext } => decrypt_cbc(&content_key, iv, ciphertext),
            Content::Gcm { nonce, sealed } => decrypt_gcm(&content_key, nonce, sealed),
        }
    }

    fn content_key(self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let failed = |_| unopened("its key cannot be decrypted");
        let key = OaepPrivateDecryptingKey::new(self.private).map_err(failed)?;
        if encrypted.len() != key.key_size_bytes() {
            return Err(unopened("its encrypted key has the wrong length"));
        }
        let mut room = Zeroizing::new(vec![0; key.min_output_size()]);
        let found = key
            .decrypt(&OAEP_SHA256_MGF1SHA256, encrypted, &mut room, None)
            .map_err(failed)?;
        if found.len() != CONTENT_KEY_BYTES {
            return Err(unopened("its key is not an AES-256 key"));
        }
        Ok(Zeroizing::new(found.to_vec()))
    }
}

fn decrypt_cbc(
    key: &[u8],
    iv: [u8; BLOCK_BYTES],
    ciphertext: Vec<u8>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |_| unopened("its content cannot be decrypted");
    let key = UnboundCipherKey::new(&AES_256, key).map_err(failed)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(failed)?;
    let mut content = Zeroizing::new(ciphertext);
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let length = key.decrypt(&mut content, context).map_err(failed)?.len();
    content.truncate(length);
    Ok(content)
}

fn decrypt_gcm(
    key: &[u8],
    nonce: [u8; GCM_NONCE_BYTES],
    sealed: Vec<u8>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |_| unopened("its content cannot be decrypted");
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(failed)?;
    let mut content = Zeroizing::new(sealed);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = LessSafeKey::new(key)
        .open_in_place(nonce, Aad::empty(), &mut content)
        .map_err(failed)?
        .len();
    content.truncate(length);
    Ok(content)
}

fn unopened(reason: &str) -> Failure {
    Failure::new(
        Code::Cms,
        format!("CiphertextForRecipient cannot be opened: {reason}"),
    )
}

fn internal(message: &str) -> Failure {
    Failure::new(Code::Internal, message)
}
