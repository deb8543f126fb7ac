//! How the process of attested TLS is told of a port: an argument `vsock:tcp:to`.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::str::FromStr;

/// The listeners of one port, as numbers of descriptors, and the program's port behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsPort {
    pub vsock: RawFd,
    pub tcp: RawFd,
    pub to: u16,
}

impl fmt::Display for TlsPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.vsock, self.tcp, self.to)
    }
}

impl FromStr for TlsPort {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let numbers: Vec<&str> = text.split(':').collect();
        let [vsock, tcp, to] = numbers[..] else {
            return Err(ErrorKind::InvalidInput.into());
        };
        Ok(Self {
            vsock: vsock.parse().map_err(io::Error::other)?,
            tcp: tcp.parse().map_err(io::Error::other)?,
            to: to.parse().map_err(io::Error::other)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let port = TlsPort {
            vsock: 7,
            tcp: 9,
            to: 8080,
        };
        assert_eq!(port.to_string().parse::<TlsPort>().unwrap(), port);
        for text in ["", "7:9", "7:9:8080:1", "7:9:65536", "a:9:1"] {
            assert!(text.parse::<TlsPort>().is_err(), "{text}");
        }
    }
}
