//! What AWS's reader says of an image: measurements, CRC, signature, metadata.

use aws_nitro_enclaves_image_format::utils::PcrSignatureChecker;
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use serde_json::json;

pub fn describe(path: &str) -> Result<String, String> {
    let mut reader = EifReader::from_eif(path.to_string())?;
    let measurements = reader.get_measurements()?;
    let certificate = match reader.signature_section {
        Some(_) => Some(reader.get_certificate_info(measurements.clone())?),
        None => None,
    };
    let mut checker = PcrSignatureChecker::from_eif(path)?;
    // What run-enclave asks of a signed image: its signature and the certificate's dates.
    let runnable = checker.is_empty() || checker.verify().is_ok();
    let report = json!({
        "Version": reader.header.version,
        "Measurements": measurements,
        "CheckCRC": reader.check_crc(),
        "IsSigned": certificate.is_some(),
        "SigningCertificate": certificate,
        "SignatureCheck": reader.sign_check,
        "Runnable": runnable,
        "Metadata": reader.get_metadata(),
    });
    Ok(report.to_string())
}
