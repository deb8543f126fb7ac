//! The card as it runs: a process in its sandbox, a VMM at its socket, a keeper at its stream.

mod driver;
mod vmm;

use std::io::Write;
use std::time::Duration;

use vmm::CardProcess;

#[test]
fn it_says_that_it_is_ready_and_confined() {
    let card = CardProcess::start();
    assert!(
        card.ready
            .starts_with(r#"{"event":"ready","sandbox":{"landlock":""#)
    );
    assert!(card.ready.ends_with("\"seccomp\":true}}\n"));
}

#[test]
fn requests_are_answered_one_after_the_other() {
    let mut card = CardProcess::start();
    let mut vmm = card.connect();
    for length in [1, 100, 0x1000] {
        let response = vec![length as u8; 3 * length];
        let read = vmm.exchange(&mut card, &vec![7; length], &response);
        assert_eq!(read, response);
    }
    for round in 0..500_u16 {
        let bytes = round.to_be_bytes();
        assert_eq!(vmm.exchange(&mut card, &bytes, &bytes), bytes);
    }
}

#[test]
fn a_slow_keeper_is_waited_for() {
    let mut card = CardProcess::start();
    let mut vmm = card.connect();
    vmm.driver.ask((0, 1), b"ask");
    vmm.kick();
    assert_eq!(card.request(), b"ask");
    for byte in b"\0\0\0\x06answer" {
        std::thread::sleep(Duration::from_millis(20));
        assert!(!vmm.is_interrupted());
        card.keeper.get_mut().write_all(&[*byte]).unwrap();
    }
    vmm.wait_for_interrupt();
    assert_eq!(vmm.driver.driver_reads(1).unwrap(), b"answer");
}

#[test]
fn an_answer_does_not_outlive_its_queue() {
    let mut card = CardProcess::start();
    let mut vmm = card.connect();
    vmm.driver.ask((0, 1), b"first");
    vmm.kick();
    assert_eq!(card.request(), b"first");
    vmm.restart_queue();
    card.answer(b"of the first queue");
    let read = vmm.exchange(&mut card, b"second", b"in time");
    assert_eq!(read, b"in time");
}

#[test]
fn it_ends_with_its_vmm() {
    let mut card = CardProcess::start();
    let mut vmm = card.connect();
    vmm.driver.ask((0, 1), b"ask");
    vmm.kick();
    assert_eq!(card.request(), b"ask");
    drop(vmm);
    assert_eq!(card.end().code(), Some(0));
}

#[test]
fn it_ends_with_its_keeper_whether_there_is_a_vmm_or_not() {
    for has_vmm in [false, true] {
        let mut card = CardProcess::start();
        let vmm = has_vmm.then(|| card.connect());
        assert!(card.is_running());
        card.close_keeper();
        assert_eq!(card.end().code(), Some(0));
        drop(vmm);
    }
}

#[test]
fn it_ends_when_the_keeper_sends_what_nobody_asked_for() {
    let mut card = CardProcess::start();
    let _vmm = card.connect();
    card.answer(b"unasked");
    assert_eq!(card.end().code(), Some(0));
}

#[test]
fn a_vmm_that_breaks_the_protocol_ends_it_without_a_crash() {
    let mut card = CardProcess::start();
    let mut broken = card.connect_bare();
    broken.write_all(&[0xff; 64]).unwrap();
    assert_eq!(card.end().code(), Some(0));
}

#[test]
fn memory_beyond_its_file_is_refused() {
    let mut card = CardProcess::start();
    let mut vmm = card.connect();
    let _ = vmm.offer_more_memory_than_there_is(); // answered only when it is taken
    assert_eq!(card.end().code(), Some(0), "no SIGBUS");
}

/// The first doorbell rings, and the worker, which is told so, reads the second.
#[test]
fn a_vmm_that_holds_it_up_ends_it() {
    let mut card = CardProcess::start();
    let mut vmm = card.connect();
    vmm.exchange(&mut card, b"ask", b"answer");
    vmm.put_silent_doorbell();
    vmm.kick();
    assert_eq!(card.end().code(), Some(1));
}
