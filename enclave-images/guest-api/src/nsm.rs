//! The NSM's messages that are needed here (aws-nitro-enclaves-nsm-api 0.5, src/api/mod.rs): GetRandom,
//! Attestation, and the time in a document.
#![forbid(unsafe_code)]

use minicbor::data::Type;
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};

/// Most bytes in each field of a document; all three may have as many at the same time.
pub const MAX_FIELD_BYTES: usize = 1024;
/// `"GetRandom"`
pub const GET_RANDOM: &[u8] = b"\x69GetRandom";

/// What a document is to contain beside what the NSM knows.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Fields {
    pub nonce: Option<Vec<u8>>,
    pub user_data: Option<Vec<u8>>,
    pub public_key: Option<Vec<u8>>,
}

impl Fields {
    /// The request, in the order and encoding of AWS's library.
    #[must_use]
    pub fn to_request(&self) -> Vec<u8> {
        let mut to = Encoder::new(Vec::new());
        let fields = [
            ("user_data", &self.user_data),
            ("nonce", &self.nonce),
            ("public_key", &self.public_key),
        ];
        let written = to.map(1).and_then(|to| {
            to.str("Attestation")?.map(fields.len() as u64)?;
            for (name, value) in fields {
                match value {
                    Some(bytes) => to.str(name)?.bytes(bytes)?,
                    None => to.str(name)?.null()?,
                };
            }
            Ok(())
        });
        written.expect("writing to memory cannot fail");
        to.into_writer()
    }
}

/// The bytes of `{"GetRandom": {"random": bstr}}`.
///
/// # Errors
/// What the NSM reports instead, or that its answer is malformed.
pub fn random_of(response: &[u8]) -> Result<Vec<u8>, String> {
    bytes_of(response, "GetRandom", "random")
}

/// The bytes of `{"Attestation": {"document": bstr}}`.
///
/// # Errors
/// What the NSM reports instead, or that its answer is malformed.
pub fn document_of(response: &[u8]) -> Result<Vec<u8>, String> {
    bytes_of(response, "Attestation", "document")
}

fn bytes_of(response: &[u8], request: &str, field: &str) -> Result<Vec<u8>, String> {
    let mut from = Decoder::new(response);
    let decoded = (|| {
        if from.map()? != Some(1) {
            return Err(Error::message("not a map of one"));
        }
        let name = from.str()?;
        if name == "Error" {
            return Ok(Err(from.str()?));
        }
        if name != request || from.map()? != Some(1) || from.str()? != field {
            return Err(Error::message("an answer to something else"));
        }
        from.bytes().map(Ok)
    })();
    match decoded {
        Ok(Ok(bytes)) if from.position() == response.len() => Ok(bytes.to_vec()),
        Ok(Err(code)) => Err(format!("the NSM answered {code}")),
        Ok(Ok(_)) => Err("the NSM's answer has trailing bytes".into()),
        Err(error) => Err(format!("the NSM's answer is malformed: {error}")),
    }
}

/// The `timestamp` of a document, in milliseconds since 1970. Not verified: the NSM has just made it.
///
/// # Errors
/// When it is not a document.
pub fn timestamp_of(document: &[u8]) -> Result<u64, String> {
    find_timestamp(document).map_err(|error| format!("the NSM's document is malformed: {error}"))
}

fn find_timestamp(document: &[u8]) -> Result<u64, Error> {
    let mut sign1 = Decoder::new(document);
    if sign1.datatype()? == Type::Tag {
        sign1.tag()?;
    }
    if sign1.array()? != Some(4) {
        return Err(Error::message("not a COSE_Sign1"));
    }
    sign1.skip()?;
    sign1.skip()?;
    let mut payload = Decoder::new(sign1.bytes()?);
    let count = payload.map()?.unwrap_or_default();
    for _ in 0..count {
        if payload.str()? == "timestamp" {
            return payload.u64();
        }
        payload.skip()?;
    }
    Err(Error::message("no timestamp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_encoded_as_aws_s_library_does() {
        let fields = Fields {
            nonce: Some(vec![1, 2]),
            user_data: None,
            public_key: Some(vec![]),
        };
        let expected =
            b"\xa1\x6bAttestation\xa3\x69user_data\xf6\x65nonce\x42\x01\x02\x6apublic_key\x40";
        assert_eq!(fields.to_request(), expected);
    }

    #[test]
    fn answers_are_taken_whole_or_not_at_all() {
        let answer = b"\xa1\x69GetRandom\xa1\x66random\x43abc";
        assert_eq!(random_of(answer).unwrap(), b"abc");
        for end in 0..answer.len() {
            assert!(random_of(&answer[..end]).is_err(), "{end} bytes");
        }
        assert!(random_of(&[answer.as_slice(), b"\0"].concat()).is_err());
        assert!(document_of(answer).is_err());
        let refused = b"\xa1\x65Error\x6dInputTooLarge";
        assert_eq!(
            document_of(refused).unwrap_err(),
            "the NSM answered InputTooLarge"
        );
    }

    #[test]
    fn finds_the_time_in_a_document() {
        let payload = b"\xa2\x69module_id\x61x\x69timestamp\x1b\x00\x00\x01\x93\x00\x00\x00\x00";
        let document = [b"\x84\x40\xa0\x58\x20".as_slice(), payload, b"\x40"].concat();
        assert_eq!(payload.len(), 32);
        assert_eq!(timestamp_of(&document).unwrap(), 0x193_0000_0000);
        for end in 0..document.len() - 1 {
            assert!(timestamp_of(&document[..end]).is_err(), "{end} bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_answers_are_refused_or_read(bytes: Vec<u8>) {
            let _ = (random_of(&bytes), document_of(&bytes), timestamp_of(&bytes));
        }
    }
}
