use super::*;
use crate::answer::{Unreachable, datagram, reset, unreachable};
use crate::offload::{Sum, prepare};
use proptest::prelude::*;

const FROM: &str = "198.18.0.2:4000";

fn pair(from: &str, to: &str) -> Pair {
    Pair {
        source: from.parse().unwrap(),
        destination: to.parse().unwrap(),
    }
}

/// As the guest sends it: the other way round than netd's own.
fn udp_packet(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    datagram(&pair(to, from), payload).unwrap()
}

/// A segment without data, at the place of a datagram's header.
fn tcp_packet(flags: u8) -> Vec<u8> {
    let mut packet = udp_packet(FROM, "1.2.3.4:80", &[0; 12]);
    packet[9] = TCP;
    packet[24..28].fill(0);
    packet[32] = 5 << 4;
    packet[33] = flags;
    packet
}

fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    (bytes, 0..3_u8).prop_map(|(mut bytes, version)| {
        // Most of them get past the version, some past the length.
        if let (Some(first), 1..) = (bytes.first_mut(), version) {
            *first = [0x45, 0x60][usize::from(version) - 1];
        }
        let length = bytes.len() as u16;
        if let (Some(field), true) = (bytes.get_mut(2..4), length.is_multiple_of(2)) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        bytes
    })
}

#[test]
fn tells_datagrams_and_segments_of_both_families() {
    for (from, to) in [(FROM, "1.2.3.4:53"), ("[fd00::2]:4000", "[2001:db8::1]:53")] {
        let packet = udp_packet(from, to, b"data");
        let Packet::Udp {
            pair: found,
            payload,
        } = Packet::classify(&packet)
        else {
            panic!("{from} {to}");
        };
        assert_eq!((found, &packet[payload]), (pair(from, to), &b"data"[..]));
    }
    let flags = |flags| match Packet::classify(&tcp_packet(flags)) {
        Packet::Tcp { flags, .. } => (flags.syn, flags.ack, flags.rst),
        other => panic!("{other:?}"),
    };
    assert_eq!(flags(0x02), (true, false, false));
    assert_eq!(flags(0x14), (false, true, true));
}

#[test]
fn neither_relays_nor_answers_what_is_not_from_one_to_one() {
    for to in ["224.0.0.1:1", "255.255.255.255:1", "0.0.0.0:1"] {
        let packet = udp_packet(FROM, to, b"");
        assert_eq!(Packet::classify(&packet), Packet::Ignored, "{to}");
    }
    let packet = udp_packet("[fd00::2]:1", "[ff02::1]:1", b"");
    assert_eq!(Packet::classify(&packet), Packet::Ignored);
    let no_port = udp_packet(FROM, "1.2.3.4:0", b"");
    assert_eq!(Packet::classify(&no_port), Packet::Ignored);
}

#[test]
fn refuses_echoes_and_the_first_of_fragments_and_ignores_the_rest() {
    let mut echo = udp_packet(FROM, "1.2.3.4:1", b"");
    (echo[9], echo[20]) = (ICMP, 8);
    assert_eq!(Packet::classify(&echo), Packet::Refused);
    echo[20] = 3;
    assert_eq!(Packet::classify(&echo), Packet::Ignored, "an error");
    let mut fragment = udp_packet(FROM, "1.2.3.4:1", b"");
    fragment[6] = 0x20;
    assert_eq!(Packet::classify(&fragment), Packet::Refused);
    fragment[7] = 1;
    assert_eq!(Packet::classify(&fragment), Packet::Ignored);
}

#[test]
fn ignores_every_truncation() {
    for whole in [udp_packet(FROM, "1.2.3.4:1", b"data"), tcp_packet(2)] {
        for end in 0..whole.len() {
            assert_eq!(
                Packet::classify(&whole[..end]),
                Packet::Ignored,
                "{end} bytes"
            );
        }
    }
}

#[test]
fn an_opening_segment_is_reset_with_its_number_acknowledged() {
    let answer = reset(&tcp_packet(0x02)).unwrap();
    let Packet::Tcp { pair: found, flags } = Packet::classify(&answer) else {
        panic!("not a segment");
    };
    assert_eq!(found, pair("1.2.3.4:80", FROM));
    assert!(flags.rst && flags.ack);
    assert_eq!(answer[28..32], [0, 0, 0, 1]);
    assert_eq!(reset(&answer), None, "a reset is never answered");
}

#[test]
fn the_sum_over_a_packet_with_its_checksum_is_complete() {
    let error = unreachable(&tcp_packet(2), Unreachable::Prohibited).unwrap();
    for part in [&error[..20], &error[20..]] {
        let mut sum = Sum::default();
        sum.add(part);
        assert_eq!(sum.fold(), 0xffff);
    }
    assert_eq!(error[20..22], [3, 13]);
}

#[test]
fn a_datagram_that_no_packet_holds_is_not_sent() {
    let v4 = pair(FROM, "1.2.3.4:1");
    assert!(datagram(&v4, &[0; 65_507]).is_some());
    assert!(datagram(&v4, &[0; 65_508]).is_none());
    let v6 = pair("[fd00::2]:1", "[2001:db8::1]:1");
    assert!(datagram(&v6, &[0; 65_487]).is_some());
    assert!(datagram(&v6, &[0; 65_488]).is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_classified_and_answered(bytes in any_packet()) {
        match Packet::classify(&bytes) {
            Packet::Udp { payload, .. } => prop_assert!(bytes.get(payload).is_some()),
            Packet::Refused => prop_assert!(unreachable(&bytes, Unreachable::Port).is_some()),
            _ => {}
        }
        if let Some(answer) = reset(&bytes) {
            prop_assert_eq!(reset(&answer), None);
        }
        let length = bytes.len();
        let mut bytes = bytes;
        prepare(&mut bytes);
        prop_assert_eq!(bytes.len(), length);
    }
}
