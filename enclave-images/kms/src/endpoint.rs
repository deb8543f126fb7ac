//! Where KMS is, and the way to it: over the enclave's network, or through a port of the parent, which forwards
//! bytes (AWS's vsock-proxy, `cloister forward`). TLS ends in the enclave either way.
#![forbid(unsafe_code)]

use crate::failure::{Code, Failure};
use crate::http::{Messages, Response};
use crate::response_key::ResponseKey;
use crate::wire::{Socket, Wire};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vsock::VsockStream;

/// The parent's CID, on AWS and on Cloister.
const PARENT_CID: u32 = 3;
/// For connecting, and again for the whole exchange.
const CONNECT_TIME: Duration = Duration::from_secs(10);
const EXCHANGE_TIME: Duration = Duration::from_secs(30);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// A URL of KMS: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub is_tls: bool,
    /// Without brackets.
    host: String,
    port: u16,
    /// The value of Host.
    pub authority: String,
}

impl Url {
    /// AWS KMS of a region.
    #[must_use]
    pub fn of_region(region: &str) -> Self {
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let host = format!("kms.{region}.amazonaws.com{suffix}");
        Self {
            is_tls: true,
            authority: host.clone(),
            host,
            port: 443,
        }
    }

    /// Parses `http://host[:port]` or `https://host[:port]`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            let message = format!("{text:?} is not http://HOST[:PORT] or https://HOST[:PORT]");
            Failure::new(Code::Argument, message)
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let is_tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_authority(authority).ok_or_else(wrong)?;
        let default = if is_tls { 443 } else { 80 };
        let port = match port {
            None => default,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(wrong)?,
            Some(_) => return Err(wrong()),
        };
        Ok(Self {
            is_tls,
            host: host.into(),
            port,
            authority: authority.into(),
        })
    }
}

/// Host without brackets, and the port's text.
fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    (!host.is_empty() && host.bytes().all(allowed)).then_some((host, port))
}

/// How KMS is reached.
pub struct Route {
    /// Without it, AWS KMS of the request's region.
    url: Option<Url>,
    /// The parent's port that leads there. Without it, the enclave's network.
    parent_port: Option<u32>,
    tls: Arc<ClientConfig>,
    /// Signs every response, where it is known.
    pub(crate) response_key: Option<ResponseKey>,
}

impl Route {
    /// Trusts the certificates of a PEM file, or the public certification authorities.
    pub fn new(
        url: Option<Url>,
        parent_port: Option<u32>,
        ca_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let roots = match ca_file {
            Some(path) => read_roots(path)?,
            None => RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        };
        // Named, for a program that is built together with another provider has no default one.
        let tls = ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            url,
            parent_port,
            tls: Arc::new(tls),
            response_key: None,
        })
    }

    /// Accepts only responses that Cloister's broker has signed with this key.
    #[must_use]
    pub fn pinned(self, response_key: Option<ResponseKey>) -> Self {
        Self {
            response_key,
            ..self
        }
    }

    /// The URL for requests of a region, which the caller has checked.
    #[must_use]
    pub fn url(&self, region: &str) -> Url {
        self.url.clone().unwrap_or_else(|| Url::of_region(region))
    }

    /// Sends the bytes of a request and reads the response.
    pub(crate) fn exchange(&self, url: &Url, request: &[u8]) -> Result<Response, Failure> {
        let mut wire = self.connect(url).map_err(|error| {
            let way = match self.parent_port {
                Some(port) => format!(" through port {port} of the parent"),
                None => String::new(),
            };
            Failure::new(
                Code::Connect,
                format!("cannot connect to {}{way}: {error}", url.authority),
            )
        })?;
        wire.extend(EXCHANGE_TIME);
        let answer = if url.is_tls {
            self.secure(url, wire)
                .and_then(|stream| converse(stream, request))
        } else {
            converse(wire, request)
        };
        answer.map_err(|error| {
            let code = match error.kind() {
                ErrorKind::InvalidData => Code::Response,
                _ => Code::Connect,
            };
            Failure::new(code, format!("{}: {error}", url.authority))
        })
    }

    fn connect(&self, url: &Url) -> io::Result<Wire> {
        let socket = match self.parent_port {
            Some(port) => Socket::Vsock(VsockStream::connect_with_cid_port(PARENT_CID, port)?),
            None => Socket::Tcp(connect_tcp(&url.host, url.port)?),
        };
        Ok(Wire::new(socket, CONNECT_TIME))
    }

    /// Completes the handshake: what fails in it is the connection, not the response.
    fn secure(&self, url: &Url, mut wire: Wire) -> io::Result<StreamOwned<ClientConnection, Wire>> {
        let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
        let mut session =
            ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        session.complete_io(&mut wire).map_err(io::Error::other)?;
        Ok(StreamOwned::new(session, wire))
    }
}

fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()?.take(MAX_ADDRESSES) {
        match TcpStream::connect_timeout(&address, CONNECT_TIME) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn converse<S: Read + Write>(mut stream: S, request: &[u8]) -> io::Result<Response> {
    stream.write_all(request)?;
    stream.flush()?;
    Messages::new(stream).response()
}

fn read_roots(path: &Path) -> Result<RootCertStore, Failure> {
    let failed =
        |reason: String| Failure::new(Code::Argument, format!("{}: {reason}", path.display()));
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_CA_BYTES).read_to_end(&mut pem))
        .map_err(|error| failed(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it contains no certificate in PEM".into()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_scheme_a_host_and_a_port() {
        let shown = |text: &str| {
            let url = Url::parse(text).ok()?;
            Some((url.is_tls, url.host, url.port))
        };
        assert_eq!(
            shown("http://127.0.0.1:8470"),
            Some((false, "127.0.0.1".into(), 8470))
        );
        assert_eq!(shown("https://[::1]/"), Some((true, "::1".into(), 443)));
        assert_eq!(shown("https://kms.x:1"), Some((true, "kms.x".into(), 1)));
        for text in [
            "",
            "kms",
            "ftp://x",
            "http://",
            "http://x:",
            "http://x:0",
            "http://x:99999",
            "http://x:+1",
            "http://x/y",
            "http://u@x",
            "http://x\r\ny",
            "http://[::1",
            "http://[::1]x",
        ] {
            assert_eq!(shown(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_url_of_a_region_is_the_one_of_aws() {
        assert_eq!(
            Url::of_region("eu-central-1").authority,
            "kms.eu-central-1.amazonaws.com"
        );
        assert_eq!(
            Url::of_region("cn-north-1").authority,
            "kms.cn-north-1.amazonaws.com.cn"
        );
    }
}
