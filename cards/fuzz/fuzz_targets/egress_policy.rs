//! Any bytes are a policy or an error; a policy is written in one form, allows nothing that no rule can, and the
//! rule that it recommends does what it is recommended for.
#![no_main]

use std::net::IpAddr;

use arbitrary::Arbitrary;
use cloister_egress_policy::address::{Reach, embedded_v4, reach_of};
use cloister_egress_policy::decision::{Decision, Flow};
use cloister_egress_policy::{Name, Policy, Protocol};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    address: IpAddr,
    port: u16,
    is_tcp: bool,
    names: [&'a str; 2],
    json: &'a [u8],
}

fuzz_target!(|input: Input| {
    let Ok(policy) = Policy::from_json(input.json) else {
        return;
    };
    let written = serde_json::to_vec(&policy).expect("JSON");
    assert_eq!(Policy::from_json(&written).as_ref(), Ok(&policy));
    let names: Vec<Name> = input
        .names
        .iter()
        .flat_map(|name| Name::new(name))
        .collect();
    let protocol = if input.is_tcp {
        Protocol::Tcp
    } else {
        Protocol::Udp
    };
    let flow = Flow {
        protocol,
        address: Some(input.address),
        port: input.port.max(1),
        names: &names,
    };
    let decision = policy.decide(&flow);
    let explanation = policy.explain(&flow, decision);
    assert_eq!(explanation.is_allowed, decision.is_allowed());
    match decision {
        Decision::Allowed(index) => {
            let rule = &policy.allow[index];
            let reach = reach_of(input.address);
            assert!(reach == Reach::Public || (rule.private && reach != Reach::Never));
            let mut translated = embedded_v4(input.address).map(IpAddr::V4);
            assert!(translated.all(|it| reach_of(it) < Reach::Local));
        }
        Decision::Denied(reason) => {
            if let Some(rule) = policy.would_allow(&flow, reason) {
                let mut wider = policy.clone();
                wider.allow.push(rule);
                assert!(wider.decide(&flow).is_allowed());
            }
        }
    }
    for name in &names {
        let _ = policy.decide_question(name);
    }
});
