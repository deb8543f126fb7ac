//! SOCKS5 (RFC 1928) without authentication: what a client says, and the answers. Only CONNECT.
#![forbid(unsafe_code)]

use crate::target::{Host, Target};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const VERSION: u8 = 5;
/// The longest message of a client: a greeting with 255 methods, or a request with a name of 255 bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 + 1 + 255 + 2;
const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;

/// Answers to a request (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reply {
    Succeeded = 0,
    GeneralFailure = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    TimedOut = 6,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}

impl Reply {
    /// With an address of zeros: nobody here has the one that it stands for.
    #[must_use]
    pub fn encode(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..4].copy_from_slice(&[VERSION, self as u8, 0, 1]);
        bytes
    }
}

/// What a client's greeting offers, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    pub needs_no_authentication: bool,
    pub length: usize,
}

impl Greeting {
    /// Nothing while it is not whole.
    ///
    /// # Errors
    /// As soon as it cannot become a greeting any more.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        if bytes.first().is_some_and(|version| *version != VERSION) {
            return Err(Malformed);
        }
        let [_, count, methods @ ..] = bytes else {
            return Ok(None);
        };
        let count = usize::from(*count);
        Ok(methods.get(..count).map(|methods| Self {
            needs_no_authentication: methods.contains(&NO_AUTHENTICATION),
            length: 2 + count,
        }))
    }

    /// The answer to it (section 3).
    #[must_use]
    pub fn answer(self) -> [u8; 2] {
        let method = if self.needs_no_authentication {
            NO_AUTHENTICATION
        } else {
            0xff
        };
        [VERSION, method]
    }
}

/// Something that is not SOCKS5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads a request at the beginning of `bytes`, and says how long it is; nothing while it is not whole.
///
/// # Errors
/// What to answer instead.
pub fn decode_request(bytes: &[u8]) -> Result<Option<(Target, usize)>, Reply> {
    let [version, command, reserved, kind, rest @ ..] = bytes else {
        return Ok(None);
    };
    if (*version, *reserved) != (VERSION, 0) {
        return Err(Reply::GeneralFailure);
    }
    if *command != CONNECT {
        return Err(Reply::CommandNotSupported);
    }
    let Some((address, rest)) = split_address(*kind, rest)? else {
        return Ok(None);
    };
    let Some(port) = rest.first_chunk::<2>() else {
        return Ok(None);
    };
    let host = match *kind {
        1 => Host::Address(Ipv4Addr::from(chunk::<4>(address)?).into()),
        4 => Host::Address(IpAddr::V6(Ipv6Addr::from(chunk::<16>(address)?)).to_canonical()),
        _ => read_name(address).ok_or(Reply::GeneralFailure)?,
    };
    let target = Target::new(host, u16::from_be_bytes(*port)).ok_or(Reply::GeneralFailure)?;
    Ok(Some((target, bytes.len() - rest.len() + port.len())))
}

type Split<'a> = Option<(&'a [u8], &'a [u8])>;

fn split_address(kind: u8, bytes: &[u8]) -> Result<Split<'_>, Reply> {
    match kind {
        1 => Ok(bytes.split_at_checked(4)),
        4 => Ok(bytes.split_at_checked(16)),
        3 => Ok(bytes
            .split_first()
            .and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)))),
        _ => Err(Reply::AddressTypeNotSupported),
    }
}

fn chunk<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Reply> {
    bytes.try_into().map_err(|_| Reply::GeneralFailure)
}

/// Some clients send an address as text.
fn read_name(bytes: &[u8]) -> Option<Host> {
    Host::parse(std::str::from_utf8(bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(bytes: &[u8]) -> String {
        match decode_request(bytes) {
            Ok(Some((target, length))) => format!("{target} {length}"),
            Ok(None) => "more".into(),
            Err(reply) => format!("{reply:?}"),
        }
    }

    #[test]
    fn a_request_names_an_address_or_a_name() {
        let name = b"\x05\x01\x00\x03\x09a.example\x01\xbbGET";
        assert_eq!(decoded(name), "a.example:443 16");
        assert_eq!(
            decoded(b"\x05\x01\0\x01\x7f\0\0\x01\0\x50"),
            "127.0.0.1:80 10"
        );
        let v6 = [&b"\x05\x01\0\x04"[..], &[0; 15], &[1], b"\0\x50"].concat();
        assert_eq!(decoded(&v6), "[::1]:80 22");
        for cut in 0..16 {
            assert_eq!(decoded(&name[..cut]), "more");
        }
    }

    #[test]
    fn refuses_other_commands_and_what_is_malformed() {
        assert_eq!(decoded(b"\x05\x03\0\x01"), "CommandNotSupported");
        assert_eq!(decoded(b"\x05\x02\0\x01"), "CommandNotSupported");
        assert_eq!(decoded(b"\x05\x01\0\x02"), "AddressTypeNotSupported");
        assert_eq!(decoded(b"\x04\x01\0\x50"), "GeneralFailure");
        assert_eq!(decoded(b"\x05\x01\0\x03\0\0\x50"), "GeneralFailure");
        assert_eq!(decoded(b"\x05\x01\0\x03\x03a b\0\x50"), "GeneralFailure");
        assert_eq!(
            decoded(b"\x05\x01\0\x01\x01\x01\x01\x01\0\0"),
            "GeneralFailure"
        );
    }

    #[test]
    fn a_greeting_must_offer_no_authentication() {
        let greeting = |bytes| Greeting::decode(bytes).unwrap();
        assert_eq!(greeting(b"\x05\x02\x02\x00").unwrap().answer(), [5, 0]);
        assert_eq!(greeting(b"\x05\x01\x02").unwrap().answer(), [5, 0xff]);
        assert_eq!(greeting(b"\x05\x02\x02"), None);
        assert_eq!(Greeting::decode(b"\x04"), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_longer_than_a_message_is_decided(bytes in prop::collection::vec(any::<u8>(), MAX_MESSAGE_BYTES)) {
            prop_assert_ne!(decode_request(&bytes), Ok(None));
            prop_assert_ne!(Greeting::decode(&bytes), Ok(None));
        }
    }
}
