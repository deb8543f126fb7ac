//! What a host client says first names a port in one way only, is waited for while it still may, or
//! is refused; how it is cut into reads changes nothing.
#![no_main]

use cloister_vsock::greeting::{Greeting, MAX_LINE_BYTES, parse_greeting};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let seen = &bytes[..bytes.len().min(MAX_LINE_BYTES)];
    let whole = parse_greeting(seen);
    match whole {
        Greeting::Port { port, line_bytes } => {
            assert!(seen[..line_bytes].ends_with(b"\n"));
            let digits = &seen[b"CONNECT ".len()..line_bytes - 1];
            let digits = std::str::from_utf8(digits).expect("digits");
            assert_eq!(
                digits.trim_start_matches('0'),
                port.to_string().trim_start_matches('0')
            );
        }
        Greeting::Unfinished => assert!(seen.len() < MAX_LINE_BYTES && !seen.contains(&b'\n')),
        Greeting::Invalid => {}
    }
    for cut in 0..seen.len() {
        let early = parse_greeting(&seen[..cut]);
        assert!(early == Greeting::Unfinished || early == whole);
    }
});
