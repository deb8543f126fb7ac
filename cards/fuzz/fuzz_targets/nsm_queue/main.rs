//! The NSM card's device between a hostile driver and a keeper: any descriptors, rings and answers,
//! queue stops and time passing. With its rings where an honest driver has them, the device does what
//! the model says, to the byte; with rings anywhere it keeps its bounds. The next driver is served.
#![no_main]

mod action;
mod chain;
mod guest;
mod model;
mod rig;

use action::Action;
use guest::{Layout, Ring};
use libfuzzer_sys::fuzz_target;
use rig::Rig;

fuzz_target!(|input: (u8, bool, Option<[Ring; 3]>, Vec<Action>)| {
    let (size, event_idx, rings, actions) = input;
    let layout = rings.map_or(Layout::HONEST, Layout::anywhere);
    let mut rig = Rig::new(1 << (size % 7), event_idx, layout);
    for action in &actions {
        action.perform(&mut rig);
    }
    rig.replace_driver();
    rig.check_service();
});
