//! A hostile VMM at the card's socket, against the real program: a QEMU that its guest has taken
//! over speaks vhost-user as it likes. It loses its connection; the card serves the next one.

mod vmm;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;

use cloister_vsock::packet::Operation;
use rustix::event::{EventfdFlags, eventfd};
use rustix::pipe::{PipeFlags, pipe_with};
use vmm::process::CardProcess;
use vmm::*;

const RESET: Option<u16> = Some(Operation::Reset as u16);
const SIGBUS: i32 = 7;

/// A VMM that says the honest words up to, not including, the first message of a kind.
fn vmm_before(card: &CardProcess, code: u32) -> Vmm {
    let vmm = Vmm::connect(&card.vmm_socket());
    for step in vmm.handshake().iter().take_while(|step| step.code != code) {
        assert!(vmm.send(step.code, &step.body, &step.fds));
    }
    vmm
}

/// The next VMM's guest is served.
fn check_service(card: &mut CardProcess) {
    let vmm = Vmm::connect(&card.vmm_socket());
    vmm.start();
    assert_eq!(vmm.dial(1), RESET, "a dead port: {}", card.stderr());
    assert_eq!(card.status()["guestCid"], 16);
}

#[test]
fn an_honest_vmm_is_served() {
    check_service(&mut CardProcess::start(&[]));
}

#[test]
fn what_is_no_message_ends_that_vmm_only() {
    let mut card = CardProcess::start(&[]);
    let owner = message(SET_OWNER, VERSION, &[]);
    let headers: &[[u32; 3]] = &[
        [0, VERSION, 0],
        [u32::MAX, VERSION, 0],
        [999, VERSION, 8],
        [GET_FEATURES, 0, 0], // no version
        [GET_FEATURES, 3, 0], // another one
        [GET_FEATURES, u32::MAX, 0],
        [GET_FEATURES, VERSION, 0x1001], // longer than any
        [GET_FEATURES, VERSION, u32::MAX],
        [SET_FEATURES, VERSION, 4], // shorter than its body
        [SET_FEATURES, VERSION, 16],
        [SET_MEM_TABLE, VERSION, 0],
        [SET_CONFIG, VERSION, 4096],
    ];
    for header in headers {
        let vmm = Vmm::connect(&card.vmm_socket());
        vmm.send_raw(&owner, &[]);
        let header: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        vmm.send_raw(&[header, vec![0xa5; 4096]].concat(), &[]);
        card.await_event("disconnected");
    }
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 5000],
        &[0xff; 5000],
        &owner[..7],
    ] {
        babble(&Vmm::connect(&card.vmm_socket()).stream, bytes);
        card.await_event("disconnected");
    }
    check_service(&mut card);
}

#[test]
fn a_vmm_may_go_at_any_moment() {
    let mut card = CardProcess::start(&[]);
    let steps = Vmm::connect(&card.vmm_socket()).handshake().len();
    card.await_event("disconnected");
    for count in 0..=steps {
        let vmm = Vmm::connect(&card.vmm_socket());
        for step in vmm.handshake().iter().take(count) {
            assert!(vmm.send(step.code, &step.body, &step.fds));
        }
        if let Some(next) = vmm.handshake().get(count) {
            let message = message(next.code, VERSION, &next.body);
            vmm.send_raw(&message[..message.len() / 2], &next.fds);
        }
        drop(vmm);
        card.await_event("disconnected");
    }
    check_service(&mut card);
}

#[test]
fn memory_that_cannot_be_is_refused() {
    let mut card = CardProcess::start(&[]);
    let one = [0, MEMORY_BYTES, VMM_BASE, 0];
    let tables: &[(&[[u64; 4]], usize)] = &[
        (&[], 0),
        (&[[0, 0, VMM_BASE, 0]], 1),                // nothing
        (&[[0, 2 * MEMORY_BYTES, VMM_BASE, 0]], 1), // more than the file
        (&[[0, 1 << 60, VMM_BASE, 0]], 1),          // more than there is
        (&[[0, u64::MAX, VMM_BASE, 0]], 1),
        (&[[u64::MAX, MEMORY_BYTES, VMM_BASE, 0]], 1), // beyond the address space
        (&[[0, MEMORY_BYTES, u64::MAX, 0]], 1),
        (&[[0, MEMORY_BYTES, VMM_BASE, u64::MAX]], 1),
        (&[[0, 4096, VMM_BASE, 1]], 1), // at an odd offset
        (&[[0, 4096, VMM_BASE, MEMORY_BYTES]], 1),
        (&[one, one], 2),                       // twice the same
        (&[one, [4096, 4096, VMM_BASE, 0]], 2), // one in the other
        (&[one], 0),                            // without its file
        (&[one], 2),                            // with another's
        (&[one; 9], 9),                         // more than a message holds
    ];
    for (table, files) in tables {
        let vmm = vmm_before(&card, SET_MEM_TABLE);
        let fds = vec![vmm.memory.as_fd(); *files];
        vmm.send(SET_MEM_TABLE, &memory_table(table), &fds);
        assert!(vmm.is_refused(), "{table:?}");
    }
    let mut short = memory_table(&[one]);
    short[0] = 2; // announces one more than it has
    let vmm = vmm_before(&card, SET_MEM_TABLE);
    vmm.send(
        SET_MEM_TABLE,
        &short,
        &[vmm.memory.as_fd(), vmm.memory.as_fd()],
    );
    assert!(vmm.is_refused());
    check_service(&mut card);
}

#[test]
fn descriptors_that_are_no_memory_are_refused() {
    let mut card = CardProcess::start(&[]);
    for fd in odd_descriptors() {
        let vmm = vmm_before(&card, SET_MEM_TABLE);
        let table = memory_table(&[[0, MEMORY_BYTES, VMM_BASE, 0]]);
        vmm.send(SET_MEM_TABLE, &table, &[fd.as_fd()]);
        assert!(vmm.is_refused(), "{fd:?}");
    }
    check_service(&mut card);
}

/// An event, a socket, both ends of a pipe, a directory, a device, a file opened for writing only.
/// None blocks: what a doorbell that does costs is a test of its own.
fn odd_descriptors() -> Vec<OwnedFd> {
    let (socket, _) = UnixStream::pair().unwrap();
    let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
    let null = File::options().write(true).open("/dev/null").unwrap();
    vec![
        eventfd(0, EventfdFlags::NONBLOCK).unwrap(),
        socket.into(),
        reader,
        writer,
        File::open("/proc").unwrap().into(),
        null.into(),
    ]
}

#[test]
fn queues_that_cannot_be_are_refused() {
    let mut card = CardProcess::start(&[]);
    for (queue, size) in [
        (0, 0),
        (0, 2048),
        (1, 0x1_0010),
        (1, u32::MAX),
        (3, 16),
        (u32::MAX, 16),
    ] {
        let vmm = vmm_before(&card, SET_VRING_NUM);
        vmm.send(SET_VRING_NUM, &vring_state(queue, size), &[]);
        assert!(vmm.is_refused(), "queue {queue} of {size}");
    }
    let outside = [
        [MEMORY_BYTES, 0x1000, 0x2000],
        [0, MEMORY_BYTES, 0x2000],
        [0, 0x1000, MEMORY_BYTES],
        [8, 0x1000, 0x2000], // misaligned
        [0, 0x1001, 0x2000],
        [u64::MAX << 8, 0x1000, 0x2000],
    ];
    for addresses in outside {
        let vmm = vmm_before(&card, SET_VRING_ADDR);
        vmm.send(SET_VRING_ADDR, &wrapping_addresses(addresses), &[]);
        assert!(vmm.is_refused(), "{addresses:x?}");
    }
    let vmm = vmm_before(&card, SET_MEM_TABLE);
    vmm.send(
        SET_VRING_ADDR,
        &wrapping_addresses([0, 0x1000, 0x2000]),
        &[],
    );
    assert!(vmm.is_refused(), "rings before memory");
    check_service(&mut card);
}

fn wrapping_addresses(offsets: [u64; 3]) -> Vec<u8> {
    vring_addresses(0, 0, offsets.map(|offset| VMM_BASE.wrapping_add(offset)))
}

#[test]
fn rings_at_the_end_of_memory_and_sizes_that_are_no_powers_of_two_do_no_harm() {
    let mut card = CardProcess::start(&[]);
    let last = MEMORY_BYTES - 16;
    for size in [1, 3, 1000, 1024] {
        let vmm = Vmm::connect(&card.vmm_socket());
        for step in vmm.handshake() {
            let (code, body) = match step.code {
                SET_VRING_NUM => (SET_VRING_NUM, vring_state(u32::from(step.body[0]), size)),
                SET_VRING_ADDR => {
                    let body = vring_addresses(u32::from(step.body[0]), VMM_BASE, [last; 3]);
                    (SET_VRING_ADDR, body)
                }
                code => (code, step.body),
            };
            vmm.send(code, &body, &step.fds);
        }
        (0..2).for_each(|queue| vmm.kick(queue));
        assert_eq!(card.status()["guestCid"], 16);
    }
    check_service(&mut card);
}

#[test]
fn doorbells_that_are_none_ring_for_nobody_else() {
    let mut card = CardProcess::start(&[]);
    for code in [SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR] {
        for fd in odd_descriptors() {
            let vmm = Vmm::connect(&card.vmm_socket());
            for step in vmm.handshake() {
                vmm.send(step.code, &step.body, &step.fds);
            }
            vmm.send(code, &words(&[1]), &[fd.as_fd()]);
            vmm.send(SET_VRING_ENABLE, &vring_state(1, 1), &[]);
            (0..2).for_each(|queue| vmm.kick(queue));
        }
        for index in [2, 3, 255, 256, 257, u64::MAX] {
            let vmm = Vmm::connect(&card.vmm_socket());
            vmm.start();
            vmm.send(code, &words(&[index]), &[event().as_fd()]);
        }
        check_service(&mut card);
    }
}

#[test]
fn configuration_out_of_range_is_not_read_nor_written() {
    let mut card = CardProcess::start(&[]);
    let bodies = [
        [0, 8],
        [0, 9],
        [8, 1],
        [4, 8],
        [u32::MAX, 8],
        [0, u32::MAX],
        [255, 255],
    ];
    for code in [GET_CONFIG, SET_CONFIG] {
        for [offset, size] in bodies {
            let vmm = vmm_before(&card, SET_MEM_TABLE);
            let words: Vec<u8> = [offset, size, 0]
                .iter()
                .flat_map(|it| it.to_le_bytes())
                .collect();
            vmm.send(code, &[words, vec![0xa5; 8]].concat(), &[]);
            let reply = if code == GET_CONFIG && [offset, size] == [0, 8] {
                vmm.reply().map(|body| body[12..20].to_vec())
            } else {
                None
            };
            assert!(reply.is_none_or(|cid| cid == words_of_cid()));
        }
    }
    check_service(&mut card);
}

fn words_of_cid() -> Vec<u8> {
    words(&[16])
}

/// A VMM whose every message the card has acted on, so that what it holds no longer changes.
fn heard_vmm(card: &CardProcess) -> Vmm {
    let vmm = Vmm::connect(&card.vmm_socket());
    vmm.start();
    vmm.wait_until_heard();
    vmm
}

#[test]
fn a_thousand_vmms_leave_nothing_behind() {
    let mut card = CardProcess::start(&[]);
    check_service(&mut card);
    card.await_event("disconnected");
    let first = heard_vmm(&card);
    let before = card.counts();
    drop(first);
    card.await_event("disconnected");
    for _ in 0..1000 {
        Vmm::connect(&card.vmm_socket()).start();
        card.await_event("disconnected");
    }
    check_service(&mut card);
    card.await_event("disconnected");
    let _last = heard_vmm(&card);
    card.await_counts(before);
}

#[test]
fn memory_that_is_taken_away_ends_that_card_by_a_signal_and_no_other() {
    let (mut victim, mut other) = (CardProcess::start(&[]), CardProcess::start(&[]));
    let vmm = Vmm::connect(&victim.vmm_socket());
    vmm.start();
    assert_eq!(vmm.dial(1), RESET);
    vmm.memory.set_len(0).unwrap();
    vmm.kick(1);
    assert_eq!(victim.end().signal(), Some(SIGBUS));
    check_service(&mut other);
}

#[test]
fn a_vmm_that_holds_up_the_card_ends_it() {
    let mut card = CardProcess::start(&[]);
    let vmm = Vmm::connect(&card.vmm_socket());
    rustix::io::write(&vmm.calls[0], &(u64::MAX - 1).to_ne_bytes()).unwrap(); // full
    vmm.start();
    assert!(vmm.dial(1).is_some());
    check_held_up(&mut card);
}

/// The first doorbell rings, and the worker, which is told so, reads the second.
#[test]
fn a_vmm_that_puts_a_silent_doorbell_in_place_of_another_ends_the_card() {
    let mut card = CardProcess::start(&[]);
    let silent = event();
    let vmm = Vmm::connect(&card.vmm_socket());
    vmm.start();
    assert_eq!(vmm.dial(1), RESET);
    vmm.send(SET_VRING_KICK, &words(&[1]), &[silent.as_fd()]);
    vmm.wait_until_heard();
    vmm.kick(1);
    check_held_up(&mut card);
}

#[test]
fn a_vmm_whose_doorbell_breaks_ends_the_card() {
    let mut card = CardProcess::start(&[]);
    let (bell, mut other) = UnixStream::pair().unwrap();
    let vmm = Vmm::connect(&card.vmm_socket());
    vmm.start();
    (&bell).write_all(b"unread").unwrap();
    vmm.send(SET_VRING_KICK, &words(&[0]), &[bell.as_fd()]);
    vmm.send(SET_VRING_ENABLE, &vring_state(0, 1), &[]);
    card.status();
    other.write_all(b"8 bytes!").unwrap();
    drop(other); // with unread bytes: the next read fails
    check_held_up(&mut card);
}

/// The card ends by itself and says why.
fn check_held_up(card: &mut CardProcess) {
    assert_eq!(card.end().code(), Some(1));
    assert!(card.stderr().contains("held up"), "{}", card.stderr());
}
