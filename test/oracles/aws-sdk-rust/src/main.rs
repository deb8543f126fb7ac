//! Uses a key broker through AWS's SDK for Rust, as any program does; prints what it found as JSON. Endpoint, region and
//! credentials come from the environment. Argument: a file with an attestation document; or three, for `enclave_app`.

mod enclave_app;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    DataKeyPairSpec, DataKeySpec, KeyEncryptionMechanism, KeySpec, KeyUsageType, MacAlgorithmSpec,
    MessageType, RecipientInfo, SigningAlgorithmSpec,
};
use serde_json::{Value, json};
use std::error::Error;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    println!("{}", runtime.block_on(use_broker())?);
    Ok(())
}

async fn use_broker() -> Result<Value> {
    // The broker of the tests listens on the loopback, without TLS.
    let http = aws_smithy_http_client::Builder::new().build_http();
    let loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
    let config = loader.http_client(http).load().await;
    let client = Client::new(&config);
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [sealed, other, key] = arguments.as_slice() {
        return enclave_app::run(&client, [sealed, other, key]).await;
    }
    let document = std::fs::read(arguments.first().ok_or("no document is given")?)?;
    Ok(json!({
        "encryption": encryption(&client, document).await?,
        "signing": signing(&client).await?,
        "refusals": refusals(&client).await?,
        "keys": count_keys(&client).await?,
    }))
}

async fn new_key(client: &Client, spec: KeySpec, usage: KeyUsageType) -> Result<String> {
    let request = client.create_key().key_spec(spec).key_usage(usage);
    let made = request.send().await?;
    Ok(made.key_metadata().ok_or("no metadata")?.key_id().into())
}

async fn new_symmetric_key(client: &Client) -> Result<String> {
    let usage = KeyUsageType::EncryptDecrypt;
    new_key(client, KeySpec::SymmetricDefault, usage).await
}

async fn encryption(client: &Client, document: Vec<u8>) -> Result<Value> {
    let id = new_symmetric_key(client).await?;
    let sealing = client
        .encrypt()
        .key_id(&id)
        .plaintext(Blob::new("from rust"));
    let sealed = sealing.encryption_context("stage", "prod").send().await?;
    let blob = sealed.ciphertext_blob.ok_or("no ciphertext")?;
    let decrypt = || {
        let request = client.decrypt().ciphertext_blob(blob.clone());
        request.encryption_context("stage", "prod")
    };
    let opened = decrypt().send().await?;
    let recipient = RecipientInfo::builder()
        .attestation_document(Blob::new(document))
        .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
        .build();
    let shown = decrypt().recipient(recipient).send().await?;
    let data_key = client.generate_data_key().key_id(&id);
    let data_key = data_key.key_spec(DataKeySpec::Aes256).send().await?;
    let pair = client.generate_data_key_pair().key_id(&id);
    let pair = pair.key_pair_spec(DataKeyPairSpec::EccNistP256);
    let pair = pair.send().await?;
    let cms = shown.ciphertext_for_recipient().ok_or("no answer")?;
    Ok(json!({
        "plaintext": String::from_utf8(opened.plaintext.ok_or("no plaintext")?.into_inner())?,
        "hidden": shown.plaintext().is_none(),
        "forRecipient": cms.as_ref(),
        "dataKey": data_key.plaintext().map(|key| key.as_ref().len()),
        "pair": pair.private_key_plaintext().is_some() && pair.public_key().is_some(),
    }))
}

async fn signing(client: &Client) -> Result<Value> {
    let id = new_key(client, KeySpec::EccNistP256, KeyUsageType::SignVerify).await?;
    let message = Blob::new("signed for rust");
    let algorithm = SigningAlgorithmSpec::EcdsaSha256;
    let sign = client.sign().key_id(&id).message(message.clone());
    let sign = sign.message_type(MessageType::Raw);
    let signature = sign.signing_algorithm(algorithm.clone()).send().await?;
    let signature = signature.signature.ok_or("no signature")?;
    let verify = client.verify().key_id(&id).message(message.clone());
    let verify = verify.signing_algorithm(algorithm).signature(signature);
    let key = client.get_public_key().key_id(&id).send().await?;
    let usage = KeyUsageType::GenerateVerifyMac;
    let mac_id = new_key(client, KeySpec::Hmac256, usage).await?;
    let mac = client.generate_mac().key_id(mac_id).message(message);
    let mac = mac.mac_algorithm(MacAlgorithmSpec::HmacSha256);
    Ok(json!({
        "verified": verify.send().await?.signature_valid(),
        "publicKey": key.public_key().is_some(),
        "mac": mac.send().await?.mac().map(|mac| mac.as_ref().len()),
    }))
}

async fn refusals(client: &Client) -> Result<Value> {
    let id = new_symmetric_key(client).await?;
    let unknown = client.describe_key().key_id("alias/nothing").send().await;
    let not_found = unknown.err().map(SdkError::into_service_error);
    let forged = client.decrypt().ciphertext_blob(Blob::new(vec![1; 100]));
    let forged = forged.send().await.err().map(SdkError::into_service_error);
    let sign = client.sign().key_id(&id).message(Blob::new("x"));
    let sign = sign.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
    let sign = sign.send().await.err().map(SdkError::into_service_error);
    let dry = client.generate_data_key().key_id(&id).dry_run(true);
    let dry = dry.key_spec(DataKeySpec::Aes256).send().await;
    let dry = dry.err().map(SdkError::into_service_error);
    let replica = client
        .replicate_key()
        .key_id(&id)
        .replica_region("eu-west-1");
    let replica = replica.send().await.err();
    let missing = replica.as_ref().and_then(SdkError::as_service_error);
    Ok(json!({
        "notFound": not_found.is_some_and(|error| error.is_not_found_exception()),
        "forged": forged.as_ref().is_some_and(DecryptError::is_invalid_ciphertext_exception),
        "usage": sign.is_some_and(|error| error.is_invalid_key_usage_exception()),
        "dryRun": dry.is_some_and(|error| error.is_dry_run_operation_exception()),
        "missing": missing.and_then(ProvideErrorMetadata::code),
    }))
}

async fn count_keys(client: &Client) -> Result<usize> {
    let mut pages = client.list_keys().into_paginator().page_size(2).send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        count += page?.keys().len();
    }
    Ok(count)
}
