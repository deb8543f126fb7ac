//! Access keys: from the environment, and from a file in the form of ~/.aws/credentials that an app may write
//! and replace at any time.
#![forbid(unsafe_code)]

use crate::failure::{Code, Failure};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MAX_FILE_BYTES: u64 = 64 * 1024;
const MAX_FIELD_BYTES: usize = 8 * 1024;

/// What signs requests as one principal.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    pub id: String,
    pub secret: Zeroizing<String>,
    pub session_token: Option<Zeroizing<String>>,
}

impl AccessKey {
    /// Every part must be printable ASCII: it goes into headers.
    pub fn new(id: String, secret: String, session_token: Option<String>) -> Result<Self, Failure> {
        let token = session_token.filter(|token| !token.is_empty());
        let fields = [Some(&id), Some(&secret), token.as_ref()];
        let is_valid = |field: &String| {
            (1..=MAX_FIELD_BYTES).contains(&field.len())
                && field.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !fields.into_iter().flatten().all(is_valid) {
            return Err(failed("an access key is empty or not printable ASCII"));
        }
        Ok(Self {
            id,
            secret: Zeroizing::new(secret),
            session_token: token.map(Zeroizing::new),
        })
    }
}

/// Where access keys come from.
#[derive(Default)]
pub struct Credentials {
    pub fixed: Vec<AccessKey>,
    /// Read anew for every request.
    pub file: Option<PathBuf>,
}

impl Credentials {
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; none where the first two are absent.
    pub fn from_environment() -> Result<Option<AccessKey>, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_SECRET_ACCESS_KEY"),
        ) {
            (None, None) => Ok(None),
            (Some(id), Some(secret)) => {
                AccessKey::new(id, secret, variable("AWS_SESSION_TOKEN")).map(Some)
            }
            _ => Err(failed(
                "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set",
            )),
        }
    }

    /// The key with this id.
    pub fn find(&self, id: &str) -> Result<Option<AccessKey>, Failure> {
        if let Some(key) = self.fixed.iter().find(|key| key.id == id) {
            return Ok(Some(key.clone()));
        }
        let keys = match &self.file {
            None => Vec::new(),
            Some(path) => parse(&read(path)?)?,
        };
        Ok(keys.into_iter().find(|key| key.id == id))
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let cannot = |error: std::io::Error| failed(&format!("{}: {error}", path.display()));
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(cannot)?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(failed(&format!(
            "{} has more than {MAX_FILE_BYTES} bytes",
            path.display()
        )));
    }
    Ok(text)
}

/// The access keys of all profiles. Other settings are left to the SDKs.
fn parse(text: &str) -> Result<Vec<AccessKey>, Failure> {
    let mut keys = Vec::new();
    let mut profile = Profile::default();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            keys.extend(std::mem::take(&mut profile).key()?);
        } else if !line.starts_with(['#', ';'])
            && let Some((name, value)) = line.split_once('=')
        {
            profile.set(name.trim(), value.trim());
        }
    }
    keys.extend(profile.key()?);
    Ok(keys)
}

#[derive(Default)]
struct Profile {
    id: Option<String>,
    secret: Option<String>,
    session_token: Option<String>,
}

impl Profile {
    fn set(&mut self, name: &str, value: &str) {
        match name {
            "aws_access_key_id" => self.id = Some(value.into()),
            "aws_secret_access_key" => self.secret = Some(value.into()),
            "aws_session_token" => self.session_token = Some(value.into()),
            _ => {}
        }
    }

    fn key(self) -> Result<Option<AccessKey>, Failure> {
        match (self.id, self.secret) {
            (Some(id), Some(secret)) => AccessKey::new(id, secret, self.session_token).map(Some),
            (None, None) => Ok(None),
            _ => Err(failed("a profile has only one half of an access key")),
        }
    }
}

fn failed(message: &str) -> Failure {
    Failure::new(Code::Credentials, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_keys_of_all_profiles() {
        let text = "[default]\naws_access_key_id = A\naws_secret_access_key=s/+=\nregion=x\n\n# n\n[b]\naws_access_key_id=B\naws_secret_access_key=t\naws_session_token=u\n";
        let keys = parse(text).unwrap();
        let shown: Vec<_> = keys
            .iter()
            .map(|key| {
                let token = key.session_token.as_ref().map(|token| token.as_str());
                (key.id.as_str(), key.secret.as_str(), token)
            })
            .collect();
        assert_eq!(shown, [("A", "s/+=", None), ("B", "t", Some("u"))]);
    }

    #[test]
    fn refuses_half_a_key_and_what_would_break_a_header() {
        for text in [
            "aws_access_key_id=A",
            "aws_access_key_id=A\naws_secret_access_key=\u{e9}",
            "aws_access_key_id=A\naws_secret_access_key=a b",
        ] {
            assert_eq!(parse(text).err().unwrap().code, Code::Credentials);
        }
    }
}
