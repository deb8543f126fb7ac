//! The protocol of AWS's driver: two chains for each request, both back before the interrupt.

mod driver;
mod rig;

use std::time::Duration;

use cloister_nsm::device::{INPUT_TOO_LARGE, PATIENCE};
use driver::{NEXT, REQUEST_AT, RESPONSE_AT, WRITE};
use rig::Rig;

#[test]
fn a_request_comes_back_with_its_response_behind_it() {
    let mut rig = Rig::new();
    rig.ask((0, 1), b"\x6bDescribeNSM");
    assert_eq!(rig.serve(), [b"\x6bDescribeNSM"]);
    assert_eq!(rig.used(), [], "nothing comes back before the answer");
    assert!(rig.answer(b"the answer"));
    assert_eq!(rig.used(), [(0, 0), (1, 10)]);
    assert_eq!(rig.read(RESPONSE_AT, 10), b"the answer");
}

#[test]
fn a_request_without_room_waits_for_it() {
    let mut rig = Rig::new();
    rig.write(REQUEST_AT, b"ask");
    rig.offer_one(7, (REQUEST_AT, 3, 0, 0));
    assert!(rig.serve().is_empty());
    rig.offer_one(9, (RESPONSE_AT, 0x3000, WRITE, 0));
    assert_eq!(rig.serve(), [b"ask"]);
    assert!(rig.answer(b"answer"));
    assert_eq!(rig.used(), [(7, 0), (9, 6)]);
}

#[test]
fn both_may_be_made_of_several_descriptors() {
    let mut rig = Rig::new();
    rig.write(REQUEST_AT, b"as");
    rig.write(REQUEST_AT + 100, b"k");
    rig.describe(0, (REQUEST_AT, 2, NEXT, 1));
    rig.describe(1, (REQUEST_AT + 100, 1, 0, 0));
    rig.describe(2, (RESPONSE_AT, 4, WRITE | NEXT, 3));
    rig.describe(3, (RESPONSE_AT + 100, 4, WRITE, 0));
    rig.offer(0);
    rig.offer(2);
    assert_eq!(rig.serve(), [b"ask"]);
    assert!(rig.answer(b"answer"));
    assert_eq!(rig.used(), [(0, 0), (2, 6)]);
    let parts = [rig.read(RESPONSE_AT, 4), rig.read(RESPONSE_AT + 100, 2)];
    assert_eq!(parts.concat(), b"answer");
}

#[test]
fn one_request_at_a_time_goes_to_the_keeper_and_answers_come_in_order() {
    let mut rig = Rig::new();
    for index in 0..4 {
        let at = u64::from(index) * 0x100;
        rig.write(REQUEST_AT + at, &[b'a' + index as u8]);
        rig.offer_one(2 * index, (REQUEST_AT + at, 1, 0, 0));
        rig.offer_one(2 * index + 1, (RESPONSE_AT + at, 0x100, WRITE, 0));
    }
    for index in 0..4 {
        assert_eq!(rig.serve(), [[b'a' + index as u8]]);
        assert!(rig.serve().is_empty(), "the keeper owes an answer");
        assert!(rig.answer(&[b'A' + index as u8]));
        assert_eq!(rig.used(), [(2 * index, 0), (2 * index + 1, 1)]);
    }
    for index in 0..4 {
        assert_eq!(
            rig.read(RESPONSE_AT + 0x100 * index, 1),
            [b'A' + index as u8]
        );
    }
}

#[test]
fn a_request_of_4096_bytes_goes_through_and_a_longer_one_is_refused_here() {
    let mut rig = Rig::new();
    rig.ask((0, 1), &[7; 0x1000]);
    assert_eq!(rig.serve(), [vec![7; 0x1000]]);
    assert!(rig.answer(b"x"));
    rig.used();
    rig.ask((2, 3), &[7; 0x1001]);
    assert!(rig.serve().is_empty());
    assert_eq!(rig.driver_reads(3).unwrap(), INPUT_TOO_LARGE);
}

#[test]
fn a_response_longer_than_its_room_is_cut() {
    let mut rig = Rig::new();
    rig.write(REQUEST_AT, b"ask");
    for room in [0, 1, 5, 6, 7] {
        rig.write(RESPONSE_AT, &[0; 8]);
        rig.offer_one(0, (REQUEST_AT, 3, 0, 0));
        rig.offer_one(1, (RESPONSE_AT, room, WRITE, 0));
        assert_eq!(rig.serve(), [b"ask"]);
        assert!(rig.answer(b"answer"));
        let expected = room.min(6);
        assert_eq!(rig.used(), [(0, 0), (1, expected)]);
        let kept = &b"answer"[..expected as usize];
        assert_eq!(rig.read(RESPONSE_AT, expected), kept);
        assert!(
            rig.read(RESPONSE_AT + u64::from(expected), 2)
                .iter()
                .all(|byte| *byte == 0)
        );
    }
}

#[test]
fn an_answer_that_the_driver_gave_up_never_becomes_the_next_one_s() {
    let mut rig = Rig::new();
    rig.ask((0, 1), b"first");
    assert_eq!(rig.serve(), [b"first"]);
    rig.wait(Duration::from_secs(120));
    rig.ask((2, 3), b"second");
    assert!(
        rig.serve().is_empty(),
        "the keeper still owes the first answer"
    );
    assert!(rig.answer(b"late"));
    assert_eq!(rig.used(), [], "a late answer stays away");
    assert_eq!(rig.serve(), [b"second"]);
    assert!(rig.answer(b"in time"));
    assert_eq!(rig.driver_reads(3).unwrap(), b"in time");
}

#[test]
fn a_request_that_was_given_up_before_it_was_asked_is_not_asked() {
    let mut rig = Rig::new();
    rig.ask((0, 1), b"first");
    rig.serve();
    rig.ask((2, 3), b"second");
    rig.serve();
    rig.wait(PATIENCE);
    rig.ask((4, 5), b"third");
    rig.serve();
    assert!(rig.answer(b"late"));
    assert_eq!(rig.serve(), [b"third"]);
}

#[test]
fn an_answer_just_in_time_is_given() {
    let mut rig = Rig::new();
    rig.ask((0, 1), b"ask");
    rig.serve();
    rig.wait(PATIENCE - Duration::from_millis(1));
    assert!(rig.answer(b"answer"));
    assert_eq!(rig.driver_reads(1).unwrap(), b"answer");
}

#[test]
fn an_answer_for_a_queue_that_is_gone_does_not_reach_the_next_queue() {
    let mut rig = Rig::new();
    rig.ask((0, 1), b"old");
    rig.serve();
    rig.restart();
    rig.ask((0, 1), b"new");
    assert!(rig.serve().is_empty());
    assert!(rig.answer(b"old answer"));
    assert_eq!(rig.used(), []);
    assert_eq!(rig.serve(), [b"new"]);
    assert!(rig.answer(b"new answer"));
    assert_eq!(rig.driver_reads(1).unwrap(), b"new answer");
}

#[test]
fn an_answer_to_nothing_is_told() {
    let mut rig = Rig::new();
    assert!(!rig.answer(b"answer"));
}
