//! Any words are a command line or an error in one sentence; a set of ports means the same once it
//! was written and read again.
#![no_main]

use cloister_vsock::arguments::Arguments;
use cloister_vsock::policy::PortSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(ports) = text.parse::<PortSet>() {
        check_ports(&ports);
    }
    let words = text.split(' ').map(str::to_owned);
    if let Ok(arguments) = Arguments::parse(words) {
        assert!((4..u64::from(u32::MAX)).contains(&arguments.guest_cid));
        assert!(arguments.channel.is_none_or(|number| number > 2));
        check_ports(&arguments.policy.open().parent_ports);
        check_ports(&arguments.policy.open().guest_ports);
    }
});

fn check_ports(ports: &PortSet) {
    let again: PortSet = ports.to_string().parse().expect("a set of ports");
    assert_eq!(&again, ports);
    for port in [0, 1, 9000, 9003, u32::MAX] {
        assert_eq!(again.contains(port), ports.contains(port));
    }
}
