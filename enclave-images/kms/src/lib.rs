//! AWS KMS from inside an enclave. [`client::Kms`] decrypts and generates keys with attestation documents, as
//! AWS's own SDK for Nitro Enclaves does, against AWS KMS or Cloister's broker. The programs
//! `cloister-kms-proxy` and `kmstool_enclave_cli` are made of the same parts.

pub mod attested;
pub mod ber;
pub mod client;
mod clock;
pub mod cms;
pub mod credentials;
pub mod document;
mod document_conditions;
pub mod endpoint;
pub mod failure;
pub mod http;
pub mod locked_policy;
pub mod outgoing;
pub mod proxy;
pub mod recipient;
pub mod response_key;
pub mod sigv4;
pub mod strict_json;
pub mod wire;
