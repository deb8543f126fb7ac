//! A hostile driver at the device's queue. Whatever it does, the device does not panic, does not
//! spin and holds no more than a queue; an honest request after it is answered.

mod driver;
mod rig;

use driver::{Descriptor, MEMORY_BYTES, NEXT, QUEUE_SIZE, REQUEST_AT, RESPONSE_AT, WRITE};
use proptest::prelude::*;
use rig::Rig;
use virtio_bindings::bindings::virtio_ring::VRING_DESC_F_INDIRECT;

const INDIRECT: u16 = VRING_DESC_F_INDIRECT as u16;
const FAR: u64 = u64::MAX - 100;

/// Whether a request of an honest driver is answered, whatever was before.
fn still_answers(rig: &mut Rig) -> bool {
    while rig.answer(b"to something before") {
        rig.serve();
    }
    rig.used();
    rig.ask((40, 41), b"honest");
    rig.serve()
        .last()
        .is_some_and(|request| request == b"honest")
        && rig.answer(b"answer")
        && rig.driver_reads(41).as_deref() == Some(b"answer")
}

#[test]
fn chains_that_loop_or_lead_nowhere_come_back_unused() {
    let chains: &[Descriptor] = &[
        (REQUEST_AT, 10, NEXT, 0),          // to itself
        (REQUEST_AT, 10, NEXT, 9999),       // beyond the table
        (FAR, 10, 0, 0),                    // beyond memory
        (REQUEST_AT, 7, INDIRECT, 0),       // a table of a broken size
        (FAR, 64, INDIRECT, 0),             // a table beyond memory
        (REQUEST_AT, 0, INDIRECT, 0),       // a table of nothing
        (RESPONSE_AT, 10, WRITE | NEXT, 0), // room that loops
    ];
    for chain in chains {
        let mut rig = Rig::new();
        rig.offer_one(0, *chain);
        assert!(rig.serve().is_empty());
        assert_eq!(rig.used(), [(0, 0)], "{chain:?}");
        assert!(still_answers(&mut rig), "{chain:?}");
    }
}

#[test]
fn a_chain_of_both_directions_comes_back_unused() {
    let mut rig = Rig::new();
    rig.describe(0, (REQUEST_AT, 10, NEXT, 1));
    rig.describe(1, (RESPONSE_AT, 10, WRITE, 0));
    rig.offer(0);
    rig.serve();
    assert_eq!(rig.used(), [(0, 0)]);
    assert!(still_answers(&mut rig));
}

#[test]
fn room_without_a_request_comes_back_unused() {
    let mut rig = Rig::new();
    rig.offer_one(0, (RESPONSE_AT, 0x3000, WRITE, 0));
    assert!(rig.serve().is_empty());
    assert_eq!(rig.used(), [(0, 0)]);
    assert!(still_answers(&mut rig));
}

#[test]
fn of_two_requests_in_a_row_the_second_is_asked() {
    let mut rig = Rig::new();
    rig.write(REQUEST_AT, b"onetwo");
    rig.offer_one(0, (REQUEST_AT, 3, 0, 0));
    rig.offer_one(1, (REQUEST_AT + 3, 3, 0, 0));
    rig.offer_one(2, (RESPONSE_AT, 0x3000, WRITE, 0));
    assert_eq!(rig.serve(), [b"two"]);
    assert_eq!(rig.used(), [(0, 0)]);
}

#[test]
fn what_is_broken_between_a_request_and_its_room_does_not_part_them() {
    let mut rig = Rig::new();
    rig.write(REQUEST_AT, b"ask");
    rig.offer_one(0, (REQUEST_AT, 3, 0, 0));
    rig.offer_one(1, (FAR, 3, 0, 0));
    rig.offer_one(2, (RESPONSE_AT, 0x3000, WRITE, 0));
    assert_eq!(rig.serve(), [b"ask"]);
    assert_eq!(rig.used(), [(1, 0)]);
}

#[test]
fn room_outside_memory_gets_nothing() {
    for room in [(FAR, 0x3000), ((4 << 20) - 2, 0x3000)] {
        let mut rig = Rig::new();
        rig.write(REQUEST_AT, b"ask");
        rig.offer_one(0, (REQUEST_AT, 3, 0, 0));
        rig.offer_one(1, (room.0, room.1, WRITE, 0));
        assert_eq!(rig.serve(), [b"ask"]);
        assert!(rig.answer(b"answer"));
        assert_eq!(rig.used(), [(0, 0), (1, 0)]);
        assert!(still_answers(&mut rig));
    }
}

#[test]
fn an_available_index_that_jumps_stops_the_queue_without_a_spin() {
    let mut rig = Rig::new();
    rig.jump(QUEUE_SIZE + 1);
    assert!(rig.serve().is_empty());
}

#[test]
fn an_available_ring_that_reaches_beyond_memory_stops_the_queue_without_a_spin() {
    // Its index is the last there is of memory; its first entry lies beyond.
    let mut rig = Rig::with_available_ring(MEMORY_BYTES as u64 - 4);
    rig.write(MEMORY_BYTES as u64 - 2, &1_u16.to_le_bytes());
    assert!(rig.serve().is_empty());
    rig.restart();
    assert!(still_answers(&mut rig));
}

#[test]
fn a_flood_of_requests_waits_in_the_queue_and_is_asked_one_by_one() {
    let mut rig = Rig::new();
    rig.write(REQUEST_AT, b"ask");
    rig.describe(0, (REQUEST_AT, 3, 0, 0));
    rig.describe(1, (RESPONSE_AT, 0x3000, WRITE, 0));
    for _ in 0..200 {
        // The same two chains over and over, though they are not back yet.
        for _ in 0..QUEUE_SIZE / 4 {
            rig.offer(0);
            rig.offer(1);
        }
        assert!(rig.serve().len() <= 1);
        rig.answer(b"answer");
    }
    assert!(rig.used().len() <= 2 * 200 * usize::from(QUEUE_SIZE));
}

#[test]
fn a_queue_full_of_requests_that_are_too_large_is_worked_off_without_the_keeper() {
    let mut rig = Rig::new();
    rig.describe(0, (REQUEST_AT, 0x1001, 0, 0));
    rig.describe(1, (RESPONSE_AT, 0x3000, WRITE, 0));
    for round in 0..3 {
        for _ in 0..QUEUE_SIZE / 2 {
            rig.offer(0);
            rig.offer(1);
        }
        assert!(rig.serve().is_empty());
        assert_eq!(rig.used().len(), usize::from(QUEUE_SIZE), "{round}");
    }
    assert!(still_answers(&mut rig));
}

/// What a hostile driver may do next.
#[derive(Clone, Debug)]
enum Act {
    Describe(u16, Descriptor),
    Offer(u16),
    Jump(u16),
    Answer(usize),
    Restart,
    Wait,
}

fn address() -> impl Strategy<Value = u64> {
    // The rings themselves, honest buffers, the end of memory, nowhere.
    prop_oneof![
        0x1000..0x5000_u64,
        Just(REQUEST_AT),
        Just((4 << 20) - 8),
        Just(FAR),
        any::<u64>()
    ]
}

fn descriptor() -> impl Strategy<Value = Descriptor> {
    let length = prop_oneof![0..64_u32, Just(0x1001), Just(0x3000), any::<u32>()];
    (address(), length, 0..8_u16, 0..QUEUE_SIZE + 2)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..QUEUE_SIZE, descriptor()).prop_map(|(index, it)| Act::Describe(index, it)),
        6 => (0..QUEUE_SIZE + 2).prop_map(Act::Offer),
        1 => any::<u16>().prop_map(Act::Jump),
        4 => (0..0x3001_usize).prop_map(Act::Answer),
        1 => Just(Act::Restart),
        1 => Just(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_a_driver_does_is_survived(acts in prop::collection::vec(act(), 1..200)) {
        let mut rig = Rig::new();
        let mut owed = 0_i32;
        for act in acts {
            match act {
                Act::Describe(index, descriptor) => rig.describe(index, descriptor),
                Act::Offer(head) => rig.offer(head),
                Act::Jump(by) => rig.jump(by),
                Act::Answer(length) => owed -= i32::from(rig.answer(&vec![0xab; length])),
                Act::Restart => rig.restart(),
                Act::Wait => rig.wait(std::time::Duration::from_secs(60)),
            }
            let requests = rig.serve();
            prop_assert!(requests.iter().all(|request| request.len() <= 0x1000));
            owed += i32::try_from(requests.len()).unwrap();
            prop_assert!((0..=1).contains(&owed), "the keeper owes {owed} answers");
        }
        rig.restart();
        prop_assert!(still_answers(&mut rig));
    }

    /// Whatever mixture of chains comes, each answer lands in the room of its own request.
    #[test]
    fn every_answer_reaches_its_own_request(
        lengths in prop::collection::vec((1..0x1000_u32, 1..0x3000_usize), 1..30),
        stray in prop::collection::vec(any::<bool>(), 30),
    ) {
        let mut rig = Rig::new();
        for (index, &(request, response)) in lengths.iter().enumerate() {
            let fill = index as u8 + 1;
            if stray[index] {
                rig.offer_one(60, (RESPONSE_AT, 8, WRITE, 0));
            }
            rig.ask((2 * index as u16, 2 * index as u16 + 1), &vec![fill; request as usize]);
            prop_assert_eq!(rig.serve(), [vec![fill; request as usize]]);
            if stray[index] {
                prop_assert_eq!(rig.used(), [(60, 0)]);
            }
            prop_assert!(rig.answer(&vec![fill; response]));
            let read = rig.driver_reads(2 * index as u16 + 1);
            prop_assert_eq!(read, Some(vec![fill; response]));
        }
    }
}
