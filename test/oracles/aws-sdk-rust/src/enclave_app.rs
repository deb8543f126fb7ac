//! What an app in an enclave does that leaves documents to the proxy: it decrypts, and gets a data key.

use crate::Result;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use serde_json::{Value, json};

/// Arguments: files with a ciphertext and another image's, and the id of the key.
pub async fn run(client: &Client, [sealed, other, key]: [&String; 3]) -> Result<Value> {
    let decrypt = |blob: Vec<u8>| client.decrypt().ciphertext_blob(Blob::new(blob));
    let opened = decrypt(std::fs::read(sealed)?).send().await?;
    let data_key = client.generate_data_key().key_id(key);
    let data_key = data_key.key_spec(DataKeySpec::Aes256).send().await?;
    let again = decrypt(
        data_key
            .ciphertext_blob()
            .ok_or("no ciphertext")?
            .as_ref()
            .into(),
    );
    let again = again.send().await?;
    let refused = decrypt(std::fs::read(other)?).send().await.err();
    let refused = refused.as_ref().and_then(SdkError::as_service_error);
    Ok(json!({
        "plaintext": String::from_utf8(opened.plaintext.ok_or("no plaintext")?.into_inner())?,
        "dataKey": data_key.plaintext().map(|key| key.as_ref().len()),
        "dataKeyOpens": data_key.plaintext() == again.plaintext(),
        "otherImage": refused.and_then(ProvideErrorMetadata::code),
    }))
}
