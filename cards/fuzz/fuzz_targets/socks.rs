//! Any bytes of a SOCKS5 client: a message in one way only, waited for while it still may become one, or refused; how
//! they are cut into reads changes nothing. Names that are read are names in one spelling.
#![no_main]

use cloister_proxy::socks::{Greeting, MAX_MESSAGE_BYTES, decode_request};
use cloister_proxy::target::Host;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = decode_request(bytes);
    match &whole {
        Ok(Some((target, length))) => {
            assert!(*length <= bytes.len().min(MAX_MESSAGE_BYTES));
            assert_ne!(target.port, 0);
            let text = target.to_string();
            let host = text.rsplit_once(':').expect("a port").0;
            assert_eq!(Host::parse(host).as_ref(), Some(&target.host));
        }
        Ok(None) => assert!(bytes.len() < MAX_MESSAGE_BYTES),
        Err(_) => {}
    }
    let greeting = Greeting::decode(bytes);
    for cut in 0..bytes.len().min(MAX_MESSAGE_BYTES) {
        let early = decode_request(&bytes[..cut]);
        assert!(early == Ok(None) || early == whole);
        let early = Greeting::decode(&bytes[..cut]);
        assert!(early == Ok(None) || early == greeting);
    }
});
