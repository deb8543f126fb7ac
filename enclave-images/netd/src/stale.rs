//! Connections of programs that an earlier netd had: nobody relays them any more, and a program that
//! waits for bytes would wait for ever. The kernel answers a segment that opens a connection that it
//! has with where it stands (RFC 5961 section 4), and the router answers that with a reset.

use crate::addresses::{GUEST_V4, GUEST_V6};
use crate::packet::Pair;
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// proc_pid_net(5)
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT.
const STATES: [&str; 4] = ["01", "04", "05", "08"];

/// Each with its source in the guest.
pub fn connections() -> Vec<Pair> {
    let tables = TABLES
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    let is_ours =
        |pair: &Pair| [IpAddr::V4(GUEST_V4), IpAddr::V6(GUEST_V6)].contains(&pair.source.ip());
    tables
        .flat_map(|table| table.lines().filter_map(read_line).collect::<Vec<_>>())
        .filter(is_ours)
        .collect()
}

/// `0: 020012C6:9C40 017100CB:0050 01 ...`: number, local and remote address, state.
fn read_line(line: &str) -> Option<Pair> {
    let mut fields = line.split_whitespace().skip(1);
    let source = read_address(fields.next()?)?;
    let destination = read_address(fields.next()?)?;
    let is_open = STATES.contains(&fields.next()?);
    is_open.then_some(Pair {
        source,
        destination,
    })
}

/// Words of four bytes in the machine's order, and the port, all in hexadecimal.
fn read_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at..at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_connections_of_both_families_and_nothing_else() {
        let line = |local: &str, remote: &str, state: &str| {
            read_line(&format!(
                "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0"
            ))
        };
        let pair = |source: &str, destination: &str| {
            Some(Pair {
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
            })
        };
        let expected = pair("198.18.0.2:40000", "203.0.113.1:80");
        assert_eq!(line("020012C6:9C40", "017100CB:0050", "01"), expected);
        let mapped = "0000000000000000FFFF0000020012C6:9C40";
        let remote = "0000000000000000FFFF0000017100CB:0050";
        assert_eq!(line(mapped, remote, "08"), expected);
        let found = line(
            "6F6C63FD000073690000000002000000:9C40",
            "B80D0120000000000000000001000000:0050",
            "05",
        );
        assert_eq!(found, pair("[fd63:6c6f:6973::2]:40000", "[2001:db8::1]:80"));
        assert_eq!(
            line("020012C6:9C40", "017100CB:0050", "02"),
            None,
            "opening"
        );
        assert_eq!(line("020012C6", "017100CB:0050", "01"), None);
        assert_eq!(read_line("  sl  local_address rem_address   st"), None);
    }
}
