//! CiphertextForRecipient: CMS EnvelopedData (RFC 5652 section 6) as AWS KMS encodes it, in BER. Its shape is
//! fixed: one key-transport recipient named by a key identifier, RSAES-OAEP with SHA-256, AES-256-CBC.
//! The content is a constructed value of octet strings (shape A) or a primitive one (shape B). Cloister's broker
//! also makes AuthEnvelopedData (RFC 5083) with AES-256-GCM (RFC 5084), without attributes. Anything else is refused.
#![forbid(unsafe_code)]

use crate::ber::{Reader, malformed};
use crate::failure::Failure;

/// The model's limit on CiphertextForRecipient.
pub const MAX_CMS_BYTES: usize = 6144;
/// AES blocks, and the length of an IV.
pub const BLOCK_BYTES: usize = 16;
/// SHA-256 of the recipient's DER SubjectPublicKeyInfo.
pub const KEY_ID_BYTES: usize = 32;
pub const GCM_NONCE_BYTES: usize = 12;
pub const GCM_TAG_BYTES: usize = 16;

const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0x80;
const CONTEXT_0_CONSTRUCTED: u8 = 0xa0;

const VERSION_0: [u8; 3] = [0x02, 0x01, 0];
const VERSION_2: [u8; 3] = [0x02, 0x01, 2];
/// 1.2.840.113549.1.7.3
const ENVELOPED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
/// 1.2.840.113549.1.9.16.1.23
const AUTH_ENVELOPED_DATA: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17";
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
/// 1.2.840.113549.1.1.7
const RSAES_OAEP: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07";
/// 1.2.840.113549.1.1.8
const MGF1: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08";
/// 2.16.840.1.101.3.4.2.1
const SHA256: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const NULL: &[u8] = b"\x05\x00";
/// 2.16.840.1.101.3.4.1.42
const AES_256_CBC: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a";
/// 2.16.840.1.101.3.4.1.46
const AES_256_GCM: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e";
/// aes-ICVlen 16; the default, 12, is refused.
const TAG_LENGTH: [u8; 3] = [0x02, 0x01, 16];
const CONTEXT_1_CONSTRUCTED: u8 = 0xa1;

/// Which of the two a client expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// EnvelopedData, of AWS KMS.
    Enveloped,
    /// AuthEnvelopedData.
    AuthEnveloped,
}

/// What was sent, still encrypted.
#[derive(Debug, PartialEq, Eq)]
pub struct Enveloped<'a> {
    pub key_id: [u8; KEY_ID_BYTES],
    /// The content's key, under RSAES-OAEP.
    pub encrypted_key: &'a [u8],
    pub content: Content,
}

/// Encrypted content.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// AES-256-CBC: whole blocks, at least one.
    Cbc {
        iv: [u8; BLOCK_BYTES],
        ciphertext: Vec<u8>,
    },
    /// AES-256-GCM: the ciphertext and the MAC behind it.
    Gcm {
        nonce: [u8; GCM_NONCE_BYTES],
        sealed: Vec<u8>,
    },
}

/// Parses a complete value.
pub fn parse(cms: &[u8], form: Form) -> Result<Enveloped<'_>, Failure> {
    if cms.len() > MAX_CMS_BYTES {
        return Err(malformed(&format!(
            "it has more than {MAX_CMS_BYTES} bytes"
        )));
    }
    let mut reader = Reader::new(cms);
    let content_info = reader.enter(SEQUENCE)?;
    match form {
        Form::Enveloped => reader.exactly(ENVELOPED_DATA, "envelopedData")?,
        Form::AuthEnveloped => reader.exactly(AUTH_ENVELOPED_DATA, "authEnvelopedData")?,
    }
    let explicit = reader.enter(CONTEXT_0_CONSTRUCTED)?;
    let data = reader.enter(SEQUENCE)?;
    match form {
        Form::Enveloped => reader.exactly(&VERSION_2, "version 2")?,
        Form::AuthEnveloped => reader.exactly(&VERSION_0, "version 0")?,
    }
    let recipients = reader.enter(SET)?;
    let (key_id, encrypted_key) = recipient(&mut reader)?;
    reader.leave(&recipients)?;
    let content = match form {
        Form::Enveloped => cbc_content(&mut reader)?,
        Form::AuthEnveloped => gcm_content(&mut reader)?,
    };
    reader.leave(&data)?;
    reader.leave(&explicit)?;
    reader.leave(&content_info)?;
    reader.finish()?;
    Ok(Enveloped {
        key_id,
        encrypted_key,
        content,
    })
}

/// KeyTransRecipientInfo: the key's identifier and the encrypted key.
fn recipient<'a>(reader: &mut Reader<'a>) -> Result<([u8; KEY_ID_BYTES], &'a [u8]), Failure> {
    let recipient = reader.enter(SEQUENCE)?;
    reader.exactly(&VERSION_2, "version 2 of a recipient")?;
    let key_id = reader
        .primitive(CONTEXT_0)?
        .try_into()
        .map_err(|_| malformed("the recipient's key identifier is not a SHA-256"))?;
    rsaes_oaep_sha256(reader)?;
    let encrypted_key = reader.primitive(OCTET_STRING)?;
    reader.leave(&recipient)?;
    Ok((key_id, encrypted_key))
}

/// RSAES-OAEP-params with SHA-256 in both places and the empty label left out (RFC 4055 section 4.1).
fn rsaes_oaep_sha256(reader: &mut Reader) -> Result<(), Failure> {
    let algorithm = reader.enter(SEQUENCE)?;
    reader.exactly(RSAES_OAEP, "RSAES-OAEP")?;
    let parameters = reader.enter(SEQUENCE)?;
    let hash = reader.enter(CONTEXT_0_CONSTRUCTED)?;
    sha256(reader)?;
    reader.leave(&hash)?;
    let mask = reader.enter(CONTEXT_1_CONSTRUCTED)?;
    let generator = reader.enter(SEQUENCE)?;
    reader.exactly(MGF1, "MGF1")?;
    sha256(reader)?;
    reader.leave(&generator)?;
    reader.leave(&mask)?;
    reader.leave(&parameters)?;
    reader.leave(&algorithm)
}

/// The parameter is NULL or absent (RFC 4055 section 2.1).
fn sha256(reader: &mut Reader) -> Result<(), Failure> {
    let algorithm = reader.enter(SEQUENCE)?;
    reader.exactly(SHA256, "SHA-256")?;
    if reader.peek().is_some() {
        reader.exactly(NULL, "NULL parameter")?;
    }
    reader.leave(&algorithm)
}

/// EncryptedContentInfo of AES-256-CBC.
fn cbc_content(reader: &mut Reader) -> Result<Content, Failure> {
    let info = reader.enter(SEQUENCE)?;
    reader.exactly(DATA, "content type data")?;
    let algorithm = reader.enter(SEQUENCE)?;
    reader.exactly(AES_256_CBC, "AES-256-CBC")?;
    let iv = reader
        .primitive(OCTET_STRING)?
        .try_into()
        .map_err(|_| malformed("its IV does not have 16 bytes"))?;
    reader.leave(&algorithm)?;
    let ciphertext = octets(reader)?;
    reader.leave(&info)?;
    if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(BLOCK_BYTES) {
        return Err(malformed("its content does not consist of AES blocks"));
    }
    Ok(Content::Cbc { iv, ciphertext })
}

/// EncryptedContentInfo of AES-256-GCM, and the MAC that follows it.
fn gcm_content(reader: &mut Reader) -> Result<Content, Failure> {
    let info = reader.enter(SEQUENCE)?;
    reader.exactly(DATA, "content type data")?;
    let algorithm = reader.enter(SEQUENCE)?;
    reader.exactly(AES_256_GCM, "AES-256-GCM")?;
    let parameters = reader.enter(SEQUENCE)?;
    let nonce = reader
        .primitive(OCTET_STRING)?
        .try_into()
        .map_err(|_| malformed("its nonce does not have 12 bytes"))?;
    reader.exactly(&TAG_LENGTH, "MAC of 16 bytes")?;
    reader.leave(&parameters)?;
    reader.leave(&algorithm)?;
    let mut sealed = octets(reader)?;
    reader.leave(&info)?;
    let mac = reader.primitive(OCTET_STRING)?;
    if mac.len() != GCM_TAG_BYTES {
        return Err(malformed("its MAC does not have 16 bytes"));
    }
    sealed.extend_from_slice(mac);
    Ok(Content::Gcm { nonce, sealed })
}

/// Octet strings in a constructed value, or a primitive value.
fn octets(reader: &mut Reader) -> Result<Vec<u8>, Failure> {
    if reader.peek() == Some(CONTEXT_0) {
        return reader.primitive(CONTEXT_0).map(<[u8]>::to_vec);
    }
    let mut joined = Vec::new();
    let strings = reader.enter(CONTEXT_0_CONSTRUCTED)?;
    while reader.peek().is_some() {
        joined.extend_from_slice(reader.primitive(OCTET_STRING)?);
    }
    reader.leave(&strings)?;
    Ok(joined)
}
