//! What can go wrong between an app in an enclave and its keys.
#![forbid(unsafe_code)]

use std::fmt;

/// Stable names; docs/kms-enclave.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A command line that is not understood.
    Argument,
    /// Credentials that are missing or cannot be read.
    Credentials,
    /// The NSM does not provide a document.
    Nsm,
    /// KMS cannot be reached.
    Connect,
    /// What KMS, or the parent between, sent is not an HTTP response or not JSON.
    Response,
    /// CiphertextForRecipient is malformed, or was not encrypted for this request.
    Cms,
    /// KMS answered without CiphertextForRecipient: it has not looked at the document.
    NotAttested,
    /// The response is not signed by the pinned key, or not for this request.
    Signature,
    /// KMS refused the request.
    Refused,
    /// The key's policy can be extended, or cannot be understood.
    PolicyNotLocked,
    /// A request of a program in the enclave that is not one of AWS KMS.
    Request,
    /// Something that should always work did not.
    Internal,
}

impl Code {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Argument => "ERR_GUEST_KMS_ARGUMENT",
            Self::Credentials => "ERR_GUEST_KMS_CREDENTIALS",
            Self::Nsm => "ERR_GUEST_KMS_NSM",
            Self::Connect => "ERR_GUEST_KMS_CONNECT",
            Self::Response => "ERR_GUEST_KMS_RESPONSE",
            Self::Cms => "ERR_GUEST_KMS_CMS",
            Self::NotAttested => "ERR_GUEST_KMS_NOT_ATTESTED",
            Self::Signature => "ERR_GUEST_KMS_SIGNATURE",
            Self::Refused => "ERR_GUEST_KMS_REFUSED",
            Self::PolicyNotLocked => "ERR_GUEST_KMS_POLICY_NOT_LOCKED",
            Self::Request => "ERR_GUEST_KMS_REQUEST",
            Self::Internal => "ERR_GUEST_KMS_INTERNAL",
        }
    }
}

/// One failure. Its text names neither secrets nor plaintexts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    /// AWS's name of the error, where KMS refused.
    pub refusal: Option<String>,
}

impl Failure {
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            refusal: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Failure {}
