//! A hostile driver at the device's queues. Whatever it does, the device does not panic, holds no
//! more than it promised, and an honest stream beside it goes on.

mod rig;

use cloister_vsock::packet::{Header, Operation};
use proptest::prelude::*;
use rig::{Rig, packet};
use virtio_bindings::bindings::virtio_ring::{
    VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
};
use virtio_queue::QueueT;

const NEXT: u16 = VRING_DESC_F_NEXT as u16;
const WRITE: u16 = VRING_DESC_F_WRITE as u16;
const INDIRECT: u16 = VRING_DESC_F_INDIRECT as u16;

fn header(operation: u16) -> Header {
    Header {
        src_cid: 16,
        dst_cid: 3,
        src_port: 1000,
        dst_port: 7000,
        kind: 1,
        operation,
        buf_alloc: 1 << 20,
        ..Header::default()
    }
}

#[test]
fn an_honest_driver_is_served() {
    let mut rig = Rig::new();
    assert!(rig.echoes(b"hello"));
}

#[test]
fn a_driver_hears_of_small_packets_together_and_soon() {
    let mut rig = Rig::new();
    let _stream = rig.open(1000);
    for _ in 0..10 {
        rig.driver
            .send(&header(Operation::CreditUpdate as u16).encode());
        assert!(!rig.round().transmit);
    }
    assert!(rig.device.timer_period().is_some());
    rig.tick();
    assert!(rig.round().transmit);
    assert_eq!(rig.device.timer_period(), None);
}

#[test]
fn a_driver_hears_without_delay_once_much_of_its_memory_was_taken() {
    let mut rig = Rig::new();
    let _stream = rig.open(1000);
    let bytes = vec![7; 40_000];
    let data = Header {
        len: bytes.len() as u32,
        ..header(Operation::ReadWrite as u16)
    };
    rig.driver.send(&packet(&data, &bytes));
    assert!(!rig.round().transmit);
    rig.driver.send(&packet(&data, &bytes));
    assert!(rig.round().transmit);
}

#[test]
fn a_guest_is_asked_to_tell_of_packets_only_before_the_card_rests() {
    let mut rig = Rig::new();
    rig.transmit.set_event_idx(true);
    let data = header(Operation::CreditUpdate as u16).encode();
    rig.driver.send(&data);
    assert!(rig.serve_once());
    rig.driver.send(&data);
    assert!(rig.serve_once());
    assert_eq!(rig.driver.packet_to_tell_of(), 0);
    assert!(!rig.serve_once());
    assert!(rig.may_rest());
    assert_eq!(rig.driver.packet_to_tell_of(), 2);
    rig.driver.send(&data);
    assert!(!rig.may_rest());
}

#[test]
fn a_packet_may_come_in_many_descriptors_and_in_an_indirect_table() {
    let mut rig = Rig::new();
    let stream = rig.open(1000);
    let bytes = packet(
        &Header {
            len: 5,
            ..header(Operation::ReadWrite as u16)
        },
        b"split",
    );
    rig.driver.send_split(&bytes, &[10, 34, 1, 2, 2]);
    rig.serve();
    rig.driver.send_indirect(&bytes, &[44, 5]);
    rig.serve();
    assert_eq!(rig.read(&stream, 10), b"splitsplit");
}

#[test]
fn chains_that_loop_or_lead_nowhere_do_no_harm() {
    let mut rig = Rig::new();
    let far = u64::MAX - 100;
    let chains: &[(u64, u32, u16, u16)] = &[
        (0x8000, 44, NEXT, 0),    // to itself
        (0x8000, 44, NEXT, 9999), // beyond the table
        (far, 44, 0, 0),          // beyond memory
        (0x8000, u32::MAX, 0, 0), // longer than memory
        (0x8000, 44, WRITE, 0),   // the wrong way
        (0x8000, 7, INDIRECT, 0), // a table of a broken size
        (far, 64, INDIRECT, 0),   // a table beyond memory
        (0x8000, 0, 0, 0),        // nothing
    ];
    for chain in chains {
        rig.driver.send_raw(*chain);
        rig.serve();
    }
    assert!(rig.device.counters().malformed >= 5);
    assert!(rig.echoes(b"still here"));
}

#[test]
fn an_available_index_that_jumps_stops_that_queue_without_a_spin() {
    let mut rig = Rig::new();
    rig.driver.jump_available_index();
    assert!(!rig.serve_once());
}

#[test]
fn an_available_ring_that_reaches_beyond_memory_stops_that_queue_without_a_spin() {
    let mut rig = Rig::new();
    rig.driver
        .let_available_ring_leave_memory(&mut rig.transmit);
    assert!(!rig.serve_once());
    assert!(rig.may_rest());

    let mut rig = Rig::without_receive_buffers();
    rig.driver.let_available_ring_leave_memory(&mut rig.receive);
    let request = header(Operation::Request as u16);
    rig.driver.send(&request.encode());
    rig.serve();
}

#[test]
fn a_length_beyond_the_buffer_is_counted_and_ignored() {
    let mut rig = Rig::new();
    let lie = Header {
        len: u32::MAX,
        ..header(Operation::ReadWrite as u16)
    };
    rig.driver.send(&lie.encode());
    rig.serve();
    assert_eq!(rig.device.counters().malformed, 1);
    assert!(rig.echoes(b"still here"));
}

#[test]
fn unknown_operations_types_and_addresses_are_reset() {
    let mut rig = Rig::new();
    let odd = [
        header(0),
        header(8),
        header(u16::MAX),
        Header {
            kind: 2,
            ..header(Operation::Request as u16)
        },
        Header {
            dst_cid: 4,
            ..header(Operation::Request as u16)
        },
        Header {
            dst_cid: u64::MAX,
            ..header(Operation::Request as u16)
        },
    ];
    for header in odd {
        rig.driver.send(&header.encode());
        rig.serve();
        let answer = rig.driver.received().pop().expect("an answer");
        assert_eq!(answer.0.operation, Operation::Reset as u16);
        assert_eq!(
            (answer.0.src_cid, answer.0.dst_port),
            (header.dst_cid, 1000)
        );
    }
    assert_eq!(rig.device.connection_count(), 0);
}

#[test]
fn packets_of_another_guest_are_dropped() {
    let mut rig = Rig::new();
    rig.driver.send(
        &Header {
            src_cid: 17,
            ..header(Operation::Request as u16)
        }
        .encode(),
    );
    rig.serve();
    assert!(rig.driver.received().is_empty());
    assert_eq!(rig.device.counters().violations, 1);
}

#[test]
fn a_guest_that_exceeds_its_credit_loses_that_stream_only() {
    let mut rig = Rig::new();
    let _unread = rig.open(1000);
    let other = rig.open(1001);
    let payload = vec![0; 32 * 1024];
    let data = Header {
        len: payload.len() as u32,
        ..header(Operation::ReadWrite as u16)
    };
    for _ in 0..64 {
        rig.driver.send(&packet(&data, &payload));
        rig.serve();
        assert!(rig.device.buffered_bytes() <= 256 * 1024);
    }
    let reset = rig
        .driver
        .received()
        .iter()
        .any(|(header, _)| header.operation == Operation::Reset as u16);
    assert!(reset, "the liar is told");
    assert!(rig.echoes_on(&other, 1001, b"still here"));
}

#[test]
fn a_guest_that_claims_endless_credit_gets_no_more_than_its_buffers_hold() {
    let mut rig = Rig::new();
    let stream = rig.open_with(Header {
        buf_alloc: u32::MAX,
        fwd_cnt: 0,
        ..header(Operation::Request as u16)
    });
    rig.write(&stream, &vec![1; 200 * 1024]);
    rig.serve();
    assert!(
        rig.driver
            .received()
            .iter()
            .all(|(_, payload)| payload.len() <= 4096)
    );
}

#[test]
fn a_flood_of_requests_and_resets_leaves_nothing_behind() {
    let mut rig = Rig::new();
    for port in 0..20_000 {
        let request = Header {
            src_port: port,
            ..header(Operation::Request as u16)
        };
        rig.driver.send(&request.encode());
        rig.driver.send(
            &Header {
                operation: Operation::Reset as u16,
                ..request
            }
            .encode(),
        );
        rig.serve();
        rig.driver.received();
    }
    assert_eq!(rig.device.connection_count(), 0);
}

#[test]
fn resets_for_a_guest_that_takes_none_are_bounded() {
    let mut rig = Rig::without_receive_buffers();
    for port in 0..10_000 {
        let closed = Header {
            src_port: port,
            dst_port: 1,
            ..header(Operation::Request as u16)
        };
        rig.driver.send(&closed.encode());
        rig.serve();
    }
    assert!(rig.device.counters().dropped_resets > 0);
}

#[test]
fn receive_buffers_that_are_unusable_are_returned_unused() {
    let mut rig = Rig::without_receive_buffers();
    rig.driver.post_raw((0x8000, 8, WRITE, 0)); // shorter than a header
    rig.driver.post_raw((u64::MAX - 100, 4096, WRITE, 0)); // beyond memory
    rig.driver.post_raw((0x8000, 4096, 0, 0)); // the wrong way
    rig.driver.post_buffers();
    assert!(rig.echoes(b"still here"));
}

#[test]
fn a_flood_of_requests_and_resets_by_a_guest_that_takes_nothing_leaves_no_turns_behind() {
    let mut rig = Rig::without_receive_buffers();
    let _first_in_line = rig.open(1);
    for port in 2..1000 {
        let request = Header {
            src_port: port,
            ..header(Operation::Request as u16)
        };
        rig.driver.send(&request.encode());
        rig.driver.send(
            &Header {
                operation: Operation::Reset as u16,
                ..request
            }
            .encode(),
        );
        rig.serve();
        assert_eq!(rig.device.connection_count(), 1);
        assert!(rig.device.turn_count() <= 1);
    }
}

#[test]
fn a_request_that_waits_for_a_backlog_is_forgotten_with_its_guest() {
    let mut rig = Rig::new();
    let full = rig.listen_full(7001);
    let request = Header {
        dst_port: 7001,
        ..header(Operation::Request as u16)
    };
    rig.driver.send(&request.encode());
    rig.serve();
    assert_eq!(rig.device.connection_count(), 1);
    rig.replace_vmm();
    assert_eq!(rig.device.connection_count(), 0);
    drop(full);
    rig.driver.send(&request.encode());
    rig.serve();
    let (answer, _) = rig.driver.received().pop().expect("an answer");
    assert_eq!(answer.operation, Operation::Reset as u16);
}

#[test]
fn a_buffer_too_small_for_a_packet_costs_none_of_those_around_it() {
    let mut rig = Rig::without_receive_buffers();
    let stream = rig.open(1000);
    (0..3).for_each(|index| rig.driver.post_buffer(index));
    rig.driver.post_raw((0x8000, 8, WRITE, 0));
    rig.driver.post_buffer(3);
    for _ in 0..3 {
        rig.write(&stream, b"hello");
        rig.serve();
    }
    let packets = rig.driver.received(); // the response and the bytes
    assert_eq!(packets.len(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_descriptors_do_no_harm(chains in prop::collection::vec(
        (prop_oneof![any::<u64>(), 0_u64..0x20_000], prop_oneof![any::<u32>(), 0_u32..5000], 0_u16..8, 0_u16..300), 1..64,
    )) {
        let mut rig = Rig::new();
        for chain in chains {
            rig.driver.send_raw(chain);
            rig.serve();
            rig.driver.received();
        }
        prop_assert!(rig.echoes(b"still here"));
    }

    #[test]
    fn any_packets_do_no_harm(packets in prop::collection::vec(
        (prop_oneof![Just(3_u64), Just(2), any::<u64>()], 0_u32..4, 0_u16..9, any::<u32>(), any::<[u32; 2]>(), 0_usize..300), 1..200,
    )) {
        let mut rig = Rig::new();
        for (dst_cid, src_port, operation, flags, [buf_alloc, fwd_cnt], bytes) in packets {
            let odd = Header { dst_cid, src_port, flags, buf_alloc, fwd_cnt, len: bytes as u32, ..header(operation) };
            rig.driver.send(&packet(&odd, &vec![7; bytes]));
            rig.serve();
            rig.driver.received();
        }
        prop_assert!(rig.device.connection_count() <= 16);
        prop_assert!(rig.device.buffered_bytes() <= 16 * 256 * 1024);
        prop_assert!(rig.echoes(b"still here"));
    }
}
