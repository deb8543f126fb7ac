//! The device between a guest and the host's kernel: what each of them sees of the other, which ports and
//! how many streams are allowed, and that neither can make it grow, spin or hold up the other's streams.

mod rig;

use cloister_vsock::kernel::{MAX_WINDOW_BYTES, SLOTS};
use cloister_vsock::limits::Limits;
use cloister_vsock::packet::{Header, Operation};
use cloister_vsock::policy::Policy;
use cloister_vsock::refusals::{Dialler, Reason, Refusal};
use proptest::prelude::*;
use rig::{HostKernel, Rig, packet};

const GUEST: u64 = 16;
const PORT: u32 = 8000;
const GUEST_PORT: u32 = 1000;

/// As the guest sends it to its parent at CID 3.
fn of_guest(operation: Operation) -> Header {
    Header {
        src_cid: GUEST,
        dst_cid: 3,
        src_port: GUEST_PORT,
        dst_port: PORT,
        kind: 1,
        operation: operation as u16,
        buf_alloc: MAX_WINDOW_BYTES,
        ..Header::default()
    }
}

/// The same stream, as the kernel sends it.
fn of_kernel(operation: Operation) -> Header {
    Header {
        src_cid: 2,
        dst_cid: GUEST,
        src_port: PORT,
        dst_port: GUEST_PORT,
        ..of_guest(operation)
    }
}

fn send(rig: &mut Rig, header: &Header, payload: &[u8]) {
    let header = Header {
        len: payload.len() as u32,
        ..*header
    };
    rig.driver.send(&packet(&header, payload));
    rig.serve();
}

fn operations(packets: &[(Header, Vec<u8>)]) -> Vec<u16> {
    packets.iter().map(|(header, _)| header.operation).collect()
}

/// A stream that the guest has opened.
fn open(rig: &mut Rig, kernel: &mut HostKernel) {
    send(rig, &of_guest(Operation::Request), &[]);
    assert_eq!(operations(&kernel.take_all()), [1]);
    assert!(kernel.send(&of_kernel(Operation::Response), &[]));
    rig.serve();
    assert_eq!(operations(&rig.driver.received()), [2]);
}

#[test]
fn a_guest_that_dials_cid_3_or_2_reaches_the_kernel_at_2_and_hears_from_the_one_it_dialled() {
    for parent_cid in [2, 3] {
        let (mut rig, mut kernel) = Rig::with_kernel();
        let request = Header {
            dst_cid: parent_cid,
            ..of_guest(Operation::Request)
        };
        send(&mut rig, &request, &[]);
        let as_passed_on = Header {
            dst_cid: 2,
            ..request
        };
        assert_eq!(kernel.take_all(), [(as_passed_on, vec![])]);
        kernel.send(&of_kernel(Operation::Response), &[]);
        kernel.send(&of_kernel(Operation::ReadWrite), b"word");
        rig.serve();
        let received = rig.driver.received();
        assert_eq!(operations(&received), [2, 5]);
        assert!(received.iter().all(|(it, _)| it.src_cid == parent_cid));
        assert_eq!(received[1].1, b"word");
    }
}

#[test]
fn a_program_that_dials_the_cid_is_for_the_guest_its_parent_at_cid_3() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    kernel.send(&of_kernel(Operation::Request), &[]);
    rig.serve();
    let received = rig.driver.received();
    assert_eq!((received[0].0.src_cid, received[0].0.operation), (3, 1));
    send(&mut rig, &of_guest(Operation::Response), &[]);
    send(&mut rig, &of_guest(Operation::ReadWrite), b"word");
    let taken = kernel.take_all();
    assert_eq!(operations(&taken), [2, 5]);
    assert!(taken.iter().all(|(it, _)| it.dst_cid == 2));
    let report = &rig.device.connections()[0];
    assert_eq!((report.dialled_by, report.state), ("host", "established"));
    assert_eq!((report.bytes_to_host, report.parent_cid), (4, 3));
}

#[test]
fn a_payload_longer_than_the_drivers_buffers_arrives_in_pieces_and_in_order() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    open(&mut rig, &mut kernel);
    let bytes: Vec<u8> = (0..65_536_u32).map(|n| (n / 3) as u8).collect();
    kernel.send(&of_kernel(Operation::ReadWrite), &bytes);
    rig.serve();
    let received = rig.driver.received();
    assert!(received.len() > 10);
    assert_eq!(
        received.into_iter().flat_map(|it| it.1).collect::<Vec<_>>(),
        bytes
    );
    send(&mut rig, &of_guest(Operation::ReadWrite), &bytes[..65_000]);
    assert_eq!(kernel.take_all()[0].1, &bytes[..65_000]);
}

#[test]
fn a_port_that_a_unix_socket_serves_stays_with_the_card() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    assert!(rig.echoes(b"hello"));
    assert_eq!(kernel.take_all(), []);
}

#[test]
fn reserved_ports_are_never_the_kernels() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    for port in 9000..=9002 {
        let request = Header {
            dst_port: port,
            ..of_guest(Operation::Request)
        };
        send(&mut rig, &request, &[]);
        assert_eq!(operations(&rig.driver.received()), [3]);
    }
    assert_eq!(kernel.take_all(), []);
}

#[test]
fn closed_ports_are_refused_in_both_directions_and_named() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    rig.device.set_policy(Policy::default());
    send(&mut rig, &of_guest(Operation::Request), &[]);
    assert_eq!(kernel.take_all(), []);
    kernel.send(&of_kernel(Operation::Request), &[]);
    rig.serve();
    assert_eq!(operations(&rig.driver.received()), [3]);
    assert_eq!(operations(&kernel.take_all()), [3]);
    let refusal = |dialled_by, port| Refusal {
        dialled_by,
        port,
        reason: Reason::Closed,
    };
    let named = [
        refusal(Dialler::Guest, PORT),
        refusal(Dialler::Host, GUEST_PORT),
    ];
    assert_eq!(rig.device.take_refusals(), named);
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    send(&mut rig, &of_guest(Operation::Request), &[]);
    kernel.take_all();
    kernel.send(&of_kernel(Operation::Reset), &[]);
    rig.serve();
    assert_eq!(operations(&rig.driver.received()), [3]);
    assert_eq!(rig.device.take_refusals()[0].reason, Reason::Unserved);
    assert_eq!(rig.device.connection_count(), 0);
}

#[test]
fn closing_a_port_ends_its_streams_for_both_peers() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    open(&mut rig, &mut kernel);
    rig.device.set_policy(Policy::default());
    rig.serve();
    assert_eq!(operations(&rig.driver.received()), [3]);
    let resets = kernel.take_all();
    assert_eq!(operations(&resets), [3]);
    assert_eq!((resets[0].0.src_cid, resets[0].0.dst_cid), (GUEST, 2));
    assert_eq!(rig.device.connection_count(), 0);
}

#[test]
fn streams_with_the_kernel_are_counted_among_the_connections() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    rig.device.set_limits(Limits {
        connections: 2,
        ..*rig.device.limits()
    });
    let by_port = |src_port, header| Header { src_port, ..header };
    kernel.send(&by_port(1, of_kernel(Operation::Request)), &[]);
    send(&mut rig, &of_guest(Operation::Request), &[]);
    assert_eq!(operations(&rig.driver.received()), [1]);
    assert_eq!(operations(&kernel.take_all()), [1]);
    kernel.send(&by_port(2, of_kernel(Operation::Request)), &[]);
    send(&mut rig, &by_port(2, of_guest(Operation::Request)), &[]);
    assert_eq!(operations(&rig.driver.received()), [3]);
    assert_eq!(operations(&kernel.take_all()), [3]);
}

#[test]
fn programs_of_the_host_leave_half_of_the_connections_to_others() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    rig.device.set_limits(Limits {
        connections: 4,
        ..*rig.device.limits()
    });
    for port in 1..=3 {
        let request = Header {
            src_port: port,
            ..of_kernel(Operation::Request)
        };
        kernel.send(&request, &[]);
    }
    rig.serve();
    assert_eq!(rig.driver.received().len(), 2);
    assert_eq!(operations(&kernel.take_all()), [3]);
    send(&mut rig, &of_guest(Operation::Request), &[]);
    assert_eq!(operations(&kernel.take_all()), [1]);
}

#[test]
fn a_port_of_the_guest_that_is_the_keepers_is_closed_to_programs() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    let ports = "1000".parse().unwrap();
    let policy = Policy::default().with_reserved_guest_ports(&ports).unwrap();
    rig.device.set_policy(policy);
    kernel.send(&of_kernel(Operation::Request), &[]);
    rig.serve();
    assert_eq!(rig.driver.received(), []);
    assert_eq!(operations(&kernel.take_all()), [3]);
}

#[test]
fn a_port_whose_unix_listener_has_died_does_not_go_to_the_kernel() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    drop(rig.listen_full(PORT));
    send(&mut rig, &of_guest(Operation::Request), &[]);
    assert_eq!(operations(&rig.driver.received()), [3]);
    assert_eq!(kernel.take_all(), []);
}

#[test]
fn the_kernel_hears_no_promise_that_would_make_it_grow() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    open(&mut rig, &mut kernel);
    let lie = Header {
        buf_alloc: u32::MAX,
        fwd_cnt: 1 << 30,
        flags: 1, // VIRTIO_VSOCK_SEQ_EOM, which the kernel would not join with other packets
        ..of_guest(Operation::ReadWrite)
    };
    send(&mut rig, &lie, &[]);
    send(&mut rig, &lie, b"word");
    let taken = kernel.take_all();
    assert_eq!(taken.len(), 1);
    let (header, payload) = &taken[0];
    assert_eq!((header.flags, header.fwd_cnt), (0, 0));
    assert_eq!(
        (header.buf_alloc, &payload[..]),
        (MAX_WINDOW_BYTES, &b"word"[..])
    );
}

#[test]
fn a_stream_by_the_ports_of_another_is_refused_and_leaves_it_alone() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    open(&mut rig, &mut kernel);
    let by_cid_2 = Header {
        dst_cid: 2,
        ..of_guest(Operation::Request)
    };
    send(&mut rig, &by_cid_2, &[]);
    assert_eq!(rig.driver.received()[0].0.src_cid, 2);
    send(&mut rig, &of_guest(Operation::ReadWrite), b"still");
    assert_eq!(kernel.take_all()[0].1, b"still");
}

#[test]
fn a_guest_that_breaks_the_opening_ends_its_stream_only() {
    let answer = [Operation::Request, Operation::Response];
    for operation in answer {
        let (mut rig, mut kernel) = Rig::with_kernel();
        open(&mut rig, &mut kernel);
        send(&mut rig, &of_guest(operation), &[]);
        assert_eq!(operations(&rig.driver.received()), [3]);
        assert_eq!(operations(&kernel.take_all()), [3]);
        assert_eq!(rig.device.counters().violations, 1);
    }
    let (mut rig, mut kernel) = Rig::with_kernel();
    send(&mut rig, &of_guest(Operation::Request), &[]);
    send(&mut rig, &of_guest(Operation::ReadWrite), b"too soon");
    assert_eq!(operations(&kernel.take_all()), [1, 3]);
}

#[test]
fn a_guest_that_posts_no_buffers_stops_the_kernel_after_one_ring_full() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    open(&mut rig, &mut kernel);
    let word = [7; 3000];
    let mut sent = 0;
    while kernel.send(&of_kernel(Operation::ReadWrite), &word) {
        sent += 1;
        rig.serve(); // panics when it spins
    }
    assert!(sent >= u32::from(SLOTS) && sent < 1000);
    let mut arrived = 0;
    while let received @ 1.. = rig.driver.received().len() {
        arrived += received as u32;
        rig.serve();
    }
    assert_eq!(arrived, sent);
    assert!(kernel.send(&of_kernel(Operation::ReadWrite), &word));
}

#[test]
fn a_kernel_that_takes_nothing_stops_the_guest_and_nothing_is_lost() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    open(&mut rig, &mut kernel);
    let count = u32::from(SLOTS) + 20;
    for number in 0..count {
        send(
            &mut rig,
            &of_guest(Operation::ReadWrite),
            &number.to_le_bytes(),
        );
    }
    let mut taken = kernel.take_all();
    assert_eq!(taken.len(), usize::from(SLOTS));
    rig.serve();
    taken.extend(kernel.take_all());
    let numbers: Vec<_> = taken.into_iter().map(|(_, payload)| payload).collect();
    let expected: Vec<_> = (0..count).map(|it| it.to_le_bytes().to_vec()).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn what_comes_from_a_stream_that_has_ended_is_answered_by_a_reset() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    kernel.send(&of_kernel(Operation::ReadWrite), b"late");
    kernel.send(&of_kernel(Operation::Reset), &[]);
    rig.serve();
    assert_eq!(rig.driver.received(), []);
    assert_eq!(operations(&kernel.take_all()), [3]);
}

#[test]
fn the_kernels_streams_end_with_the_guest() {
    let (mut rig, mut kernel) = Rig::with_kernel();
    open(&mut rig, &mut kernel);
    rig.replace_vmm();
    rig.serve();
    assert_eq!(operations(&kernel.take_all()), [3]);
    assert_eq!(rig.driver.received(), []);
}

fn any_header() -> impl Strategy<Value = Header> {
    let cid = prop_oneof![Just(2_u64), Just(3), Just(GUEST), Just(77)];
    let port = prop_oneof![Just(GUEST_PORT), Just(PORT), Just(7000_u32), Just(9000)];
    let operation = 0..9_u16;
    let numbers = (0..3_u16, 0..4_u32, any::<u32>(), any::<u32>());
    (cid.clone(), cid, port.clone(), port, operation, numbers).prop_map(
        |(src_cid, dst_cid, src_port, dst_port, operation, (kind, flags, buf_alloc, fwd_cnt))| {
            Header {
                ..Header {
                    src_cid,
                    dst_cid,
                    src_port,
                    dst_port,
                    len: 0,
                    kind,
                    operation,
                    flags,
                    buf_alloc,
                    fwd_cnt,
                }
            }
        },
    )
}

proptest! {
    #[test]
    fn whatever_either_sends_the_other_sees_only_its_own_peer(
        steps in prop::collection::vec((any::<bool>(), any_header(), 0..100_usize), 1..60)
    ) {
        let (mut rig, mut kernel) = Rig::with_kernel();
        for (is_of_guest, header, bytes) in steps {
            let payload = vec![1; bytes];
            if is_of_guest {
                send(&mut rig, &header, &payload);
            } else {
                kernel.send(&header, &payload);
                rig.serve();
            }
            prop_assert!(rig.device.connection_count() <= 16);
            for (header, _) in kernel.take_all() {
                prop_assert_eq!((header.src_cid, header.dst_cid), (GUEST, 2));
                prop_assert!(header.dst_port != 9000 || header.operation == 3);
            }
            for (header, _) in rig.driver.received() {
                prop_assert!([2, 3].contains(&header.src_cid) || header.operation == 3);
                prop_assert_eq!(header.dst_cid, GUEST);
            }
        }
    }
}
