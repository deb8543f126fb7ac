//! The line with which a host client names a port of the guest: `CONNECT <port>\n`, the protocol of
//! Firecracker's docs/vsock.md.

use crate::policy::parse_port;

/// `CONNECT 4294967295\n`
pub const MAX_LINE_BYTES: usize = 19;

/// What a client has said so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    Unfinished,
    /// `line_bytes` counts the line feed; what follows is not part of the line.
    Port {
        port: u32,
        line_bytes: usize,
    },
    Invalid,
}

/// Reads the first line out of what a client has sent, of which the first `MAX_LINE_BYTES` will do.
#[must_use]
pub fn parse_greeting(bytes: &[u8]) -> Greeting {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        let may_continue = bytes.len() < MAX_LINE_BYTES;
        return if may_continue {
            Greeting::Unfinished
        } else {
            Greeting::Invalid
        };
    };
    let port = std::str::from_utf8(&bytes[..end])
        .ok()
        .and_then(|line| line.strip_prefix("CONNECT "))
        .and_then(parse_port);
    port.map_or(Greeting::Invalid, |port| Greeting::Port {
        port,
        line_bytes: end + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_names_a_port_and_leaves_what_follows() {
        let parsed = parse_greeting(b"CONNECT 5005\nhello");
        assert_eq!(
            parsed,
            Greeting::Port {
                port: 5005,
                line_bytes: 13
            }
        );
    }

    #[test]
    fn refuses_other_lines() {
        for line in [
            "CONNECT\n",
            "CONNECT -1\n",
            "CONNECT 4294967296\n",
            "connect 1\n",
            "CONNECT 1 \n",
            "\n",
        ] {
            assert_eq!(
                parse_greeting(line.as_bytes()),
                Greeting::Invalid,
                "{line:?}"
            );
        }
    }

    #[test]
    fn waits_for_a_line_only_while_it_can_still_become_one() {
        assert_eq!(parse_greeting(b"CONNECT 42949672"), Greeting::Unfinished);
        assert_eq!(parse_greeting(&[b'x'; MAX_LINE_BYTES]), Greeting::Invalid);
    }

    proptest! {
        #[test]
        fn every_port_can_be_named(port: u32) {
            let line = format!("CONNECT {port}\n");
            let expected = Greeting::Port { port, line_bytes: line.len() };
            prop_assert_eq!(parse_greeting(line.as_bytes()), expected);
        }
    }
}
