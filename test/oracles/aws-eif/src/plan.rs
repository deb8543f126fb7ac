//! Writes an image with AWS's writer. The plan is JSON: paths of the parts, and what a builder of AWS's
//! puts into the metadata.

use crate::describe::describe;
use aws_nitro_enclaves_image_format::defs::{EifBuildInfo, EifIdentityInfo};
use aws_nitro_enclaves_image_format::utils::identity::parse_custom_metadata;
use aws_nitro_enclaves_image_format::utils::{EifBuilder, SignKeyData};
use serde_json::Value;
use sha2::{Digest, Sha384};
use std::fs::{File, read};
use std::path::Path;

pub fn build(plan: &str, output: &str) -> Result<String, String> {
    let bytes = read(plan).map_err(|error| format!("{plan}: {error}"))?;
    let plan: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let text = |key: &str| -> Result<String, String> {
        plan[key]
            .as_str()
            .map(str::to_string)
            .ok_or(format!("plan: no {key}"))
    };
    let signer = match plan["certificate"].as_str() {
        Some(certificate) => Some(SignKeyData::new(&text("key")?, Path::new(certificate))?),
        None => None,
    };
    let custom = match plan["custom"].as_str() {
        Some(path) => parse_custom_metadata(path)?,
        None => Value::Null,
    };
    let identity = EifIdentityInfo {
        img_name: text("name")?,
        img_version: text("version")?,
        build_info: EifBuildInfo {
            build_time: text("buildTime")?,
            build_tool: text("buildTool")?,
            build_tool_version: text("buildToolVersion")?,
            img_os: text("operatingSystem")?,
            img_kernel: text("kernelVersion")?,
        },
        docker_info: plan["dockerInfo"].clone(),
        custom_info: custom,
    };
    let flags = u16::from(plan["arch"] == "aarch64");
    let kernel = text("kernel")?;
    let mut builder = EifBuilder::new(
        Path::new(&kernel),
        text("cmdline")?,
        signer,
        Sha384::new(),
        flags,
        identity,
    );
    for ramdisk in plan["ramdisks"].as_array().ok_or("plan: no ramdisks")? {
        builder.add_ramdisk(Path::new(
            ramdisk.as_str().ok_or("plan: a ramdisk is not text")?,
        ));
    }
    let mut file = File::create(output).map_err(|error| format!("{output}: {error}"))?;
    builder.write_to(&mut file);
    drop(file);
    describe(output)
}
