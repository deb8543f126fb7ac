//! The key, and the certificate that carries it: P-256, self-signed. Nobody looks at the certificate's names
//! and dates; a document says whose key it is. The key is renewed long before clients that do look at dates
//! would refuse the certificate.
#![forbid(unsafe_code)]

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use sha2::{Digest, Sha256};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NAME: &str = "enclave";
/// In the order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What time it is, by the clock that only goes forward and by the one on the wall.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    pub steady: Instant,
    pub wall: SystemTime,
}

impl Clocks {
    pub fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

/// A key and its certificate, for new connections.
pub struct Identity {
    pub config: Arc<ServerConfig>,
    /// Of the DER SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    made: Clocks,
}

impl Identity {
    /// Makes a key and a certificate, which is valid from the day before for a week.
    pub fn make(now: Clocks) -> io::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        let mut params = CertificateParams::new([NAME.into()]).map_err(io::Error::other)?;
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.not_before = (now.wall - DAY).into();
        params.not_after = (now.wall + 7 * DAY).into();
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let spki_sha256 = Sha256::digest(key.subject_public_key_info()).into();
        let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|it| {
                it.with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], secret)
            })
            .map_err(io::Error::other)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        // Each connection shows the key: none is resumed.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: config.into(),
            spki_sha256,
            made: now,
        })
    }

    /// Whether new connections are to have another key: daily, and when the clock was set far.
    pub fn is_due(&self, now: Clocks) -> bool {
        let age = now.steady.saturating_duration_since(self.made.steady);
        let is_set_back = now.wall < self.made.wall - DAY / 2;
        let is_set_forward = now.wall > self.made.wall + 2 * DAY;
        age >= DAY || is_set_back || is_set_forward
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_renewed_daily_and_when_the_clock_jumps() {
        let made = Clocks::now();
        let identity = Identity::make(made).unwrap();
        let due = |steady, wall| identity.is_due(Clocks { steady, wall });
        let hour = DAY / 24;
        assert!(!due(made.steady + 23 * hour, made.wall + 23 * hour));
        assert!(due(made.steady + DAY, made.wall + DAY));
        assert!(due(made.steady + hour, made.wall + 3 * DAY));
        assert!(due(made.steady + hour, made.wall - DAY));
        let next = Identity::make(made).unwrap();
        assert_ne!(next.spki_sha256, identity.spki_sha256);
    }
}
