//! The whole card but for the protocol with the VMM: any sequence of packets, raw descriptors and
//! changed rings, doorbells, host clients and servers, policies, limits and new VMMs. Afterwards
//! nothing is left of the guest, and the next one is served.
#![no_main]

mod action;
mod card;
mod driver;
mod host;

use action::Action;
use card::CardUnderTest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|actions: Vec<Action>| {
    let mut card = CardUnderTest::new();
    for action in &actions {
        action.perform(&mut card);
    }
    card.check_bounds();
    card.replace_everything();
    card.check_empty();
    card.check_service();
});
