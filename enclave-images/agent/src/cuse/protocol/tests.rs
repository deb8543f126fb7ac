use super::*;
use crate::cuse::ioctl::NSM_IOCTL;

const UNIQUE: u64 = 0x1122;
const ADDRESS: u64 = 0x7fff_0000;

fn message(opcode: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[40 + body.len() as u32, opcode]);
    bytes.extend(UNIQUE.to_ne_bytes());
    bytes.extend([0; 24]);
    bytes.extend(body);
    bytes
}

fn ioctl(command: u32, data: &[u8], out_size: u32) -> Vec<u8> {
    let mut body = words(&[0, 0, 0, command]);
    body.extend(ADDRESS.to_ne_bytes());
    body.extend(words(&[data.len() as u32, out_size]));
    body.extend(data);
    message(abi::IOCTL, &body)
}

fn longs(fields: &[u64]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect()
}

fn argument(request_bytes: u64, response_bytes: u64) -> Vec<u8> {
    longs(&[0x1000, request_bytes, 0x2000, response_bytes])
}

fn replied(message: &[u8]) -> Vec<u8> {
    match decide(message) {
        Action::Reply(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn failure(errno: Errno) -> Vec<u8> {
    reply(UNIQUE, -(errno as i32), &[])
}

#[test]
fn creates_the_device_at_the_older_minor_version() {
    for (offered, agreed) in [(41, 31), (23, 23)] {
        let bytes = initialise(&message(abi::CUSE_INIT, &words(&[7, offered, 0, 1]))).unwrap();
        let start = words(&[
            16 + 72 + 12,
            0,
            UNIQUE as u32,
            0,
            7,
            agreed,
            0,
            1,
            131_072,
            131_072,
        ]);
        assert_eq!(&bytes[..40], start);
        assert!(bytes.ends_with(b"\0DEVNAME=nsm\0"));
        assert_eq!(bytes.len(), 100);
    }
}

#[test]
fn creates_no_device_for_another_message_or_version() {
    assert_eq!(
        initialise(&message(abi::OPEN, &words(&[7, 31, 0, 1]))),
        None
    );
    assert_eq!(
        initialise(&message(abi::CUSE_INIT, &words(&[8, 0, 0, 1]))),
        None
    );
    assert_eq!(initialise(&message(abi::CUSE_INIT, &words(&[7]))), None);
}

#[test]
fn opens_and_releases() {
    let opened = replied(&message(abi::OPEN, &[0; 8]));
    assert_eq!(opened, reply(UNIQUE, 0, &[&words(&[0, 0, 5, 0])]));
    assert_eq!(
        replied(&message(abi::RELEASE, &[0; 24])),
        reply(UNIQUE, 0, &[])
    );
}

#[test]
fn has_no_other_operation() {
    assert_eq!(replied(&message(15, &[0; 40])), failure(Errno::ENOSYS));
    assert_eq!(decide(&message(abi::INTERRUPT, &[0; 8])), Action::Nothing);
}

#[test]
fn asks_for_the_argument_first() {
    let mut expected = words(&[0, abi::FUSE_IOCTL_RETRY, 1, 0]);
    expected.extend(longs(&[ADDRESS, 32]));
    assert_eq!(
        replied(&ioctl(NSM_IOCTL, &[], 0)),
        reply(UNIQUE, 0, &[&expected])
    );
}

#[test]
fn asks_for_the_request_then() {
    for (room, asked) in [(100, 100), (0x3000, 0x3000), (u64::MAX, 0x3000)] {
        let mut expected = words(&[0, abi::FUSE_IOCTL_RETRY, 2, 2]);
        expected.extend(longs(&[
            ADDRESS, 32, 0x1000, 4096, ADDRESS, 32, 0x2000, asked,
        ]));
        let turn = ioctl(NSM_IOCTL, &argument(4096, room), 0);
        assert_eq!(replied(&turn), reply(UNIQUE, 0, &[&expected]));
    }
}

#[test]
fn answers_in_the_end_and_cuts_to_the_callers_room() {
    let data = [argument(3, 4), b"req".to_vec()].concat();
    let turn = ioctl(NSM_IOCTL, &data, 32 + 4);
    let Action::Call(call) = decide(&turn) else {
        panic!("no call")
    };
    assert_eq!(call.request, b"req");
    for (response, sent) in [(&b"ok"[..], &b"ok"[..]), (b"response", b"resp")] {
        let back = longs(&[0x1000, 3, 0x2000, sent.len() as u64]);
        assert_eq!(
            call.answer(response),
            reply(UNIQUE, 0, &[&words(&[0; 4]), &back, sent])
        );
    }
    assert_eq!(call.fail(Errno::EIO), failure(Errno::EIO));
}

#[test]
fn refuses_a_foreign_ioctl_and_a_request_that_is_too_long() {
    assert_eq!(replied(&ioctl(0x5401, &[], 0)), failure(Errno::EINVAL));
    let too_long = failure(Errno::EMSGSIZE);
    assert_eq!(replied(&ioctl(NSM_IOCTL, &argument(4097, 64), 0)), too_long);
    assert_eq!(
        replied(&ioctl(NSM_IOCTL, &argument(u64::MAX, 64), 0)),
        too_long
    );
    let grown = [argument(3, 64), vec![0; 4097]].concat();
    assert_eq!(replied(&ioctl(NSM_IOCTL, &grown, 96)), too_long);
}

#[test]
fn refuses_sizes_that_do_not_fit() {
    let invalid = failure(Errno::EINVAL);
    assert_eq!(
        replied(&ioctl(NSM_IOCTL, &argument(1, 1)[..31], 0)),
        invalid
    );
    assert_eq!(replied(&ioctl(NSM_IOCTL, &argument(0, 1), 31)), invalid);
    let mut lies = ioctl(NSM_IOCTL, &argument(1, 1), 0);
    lies[40 + 24] ^= 1; // in_size
    assert_eq!(replied(&lies), invalid);
}

#[test]
fn survives_every_truncation_and_every_changed_byte() {
    let whole = ioctl(NSM_IOCTL, &[argument(3, 4), b"req".to_vec()].concat(), 36);
    for end in 0..whole.len() {
        assert_eq!(decide(&whole[..end]), Action::Nothing, "{end} bytes");
        assert_eq!(initialise(&whole[..end]), None);
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            if let Action::Call(call) = decide(&changed) {
                assert!(call.request.len() <= 4096);
                assert!(call.answer(&[0; 64]).len() <= 16 + 16 + 32 + 64);
            }
        }
    }
}
