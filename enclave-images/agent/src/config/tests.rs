use super::*;

fn description(lock: bool, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xa1\x6bDescribePCR\xa2\x64lock".to_vec();
    bytes.push(if lock { 0xf5 } else { 0xf4 });
    bytes.extend(b"\x64data\x58");
    bytes.push(u8::try_from(data.len()).unwrap());
    bytes.extend(data);
    bytes
}

#[test]
fn reads_a_register_with_its_keys_in_either_order() {
    let expected = Register {
        is_locked: true,
        value: [7; PCR_BYTES],
    };
    assert_eq!(
        Register::decode(&description(true, &[7; 48])).unwrap(),
        expected
    );
    let mut swapped = b"\xa1\x6bDescribePCR\xa2\x64data\x58\x30".to_vec();
    swapped.extend([7; 48]);
    swapped.extend(b"\x64lock\xf5");
    assert_eq!(Register::decode(&swapped).unwrap(), expected);
}

#[test]
fn refuses_other_answers_and_every_truncation() {
    let whole = description(false, &[0; 48]);
    for end in 0..whole.len() {
        assert!(Register::decode(&whole[..end]).is_err(), "{end} bytes");
    }
    assert!(Register::decode(&[whole, vec![0]].concat()).is_err());
    assert!(Register::decode(&description(true, &[0; 47])).is_err());
    assert!(Register::decode(b"\xa1\x65Error\x6dInternalError").is_err());
}

#[test]
fn an_unlocked_register_is_left_to_the_app() {
    let free = Register {
        is_locked: false,
        value: [0; PCR_BYTES],
    };
    assert!(take(&free, None).is_ok());
    let locked = Register {
        is_locked: true,
        ..free
    };
    assert!(take(&locked, None).is_err());
}

#[test]
fn knows_what_a_register_was_extended_with() {
    // SHA-384 of 48 zero bytes and the SHA-384 of 43 61 62 63, by Python's hashlib.
    #[rustfmt::skip]
    let value = [
        0x83, 0x1a, 0x3b, 0xc9, 0x50, 0x6d, 0x53, 0x2d, 0x50, 0x80, 0x41, 0x20,
        0x8e, 0x9d, 0xa6, 0xde, 0x31, 0x2c, 0xcd, 0x09, 0xb8, 0x27, 0x69, 0xb1,
        0x8d, 0x80, 0x7f, 0x8e, 0xf9, 0x85, 0x35, 0x8b, 0x42, 0x4b, 0xb2, 0xd8,
        0x0c, 0x11, 0x63, 0xa0, 0xcf, 0xb7, 0xa1, 0x85, 0x2f, 0x48, 0x5e, 0xf3,
    ];
    let register = Register {
        is_locked: true,
        value,
    };
    assert!(register.is_extended_with(b"\x43abc"));
    assert!(!register.is_extended_with(b"\x43abd"));
    assert!(!register.is_extended_with(b""));
}

#[test]
fn decodes_a_file_and_a_directory() {
    assert_eq!(
        Configuration::decode(b"\x43abc").unwrap(),
        Configuration::File(b"abc")
    );
    assert_eq!(
        Configuration::decode(b"\x40").unwrap(),
        Configuration::File(b"")
    );
    let files = vec![("b", b"1".as_slice()), ("aa", b"")];
    assert_eq!(
        Configuration::decode(b"\xa2\x61b\x411\x62aa\x40").unwrap(),
        Configuration::Directory(files)
    );
}

#[test]
fn refuses_hostile_configurations() {
    let hostile: [&[u8]; 14] = [
        b"",
        b"\x43ab",                               // cut short
        b"\x43abcd",                             // a trailing byte
        b"\x63abc",                              // text in place of bytes
        b"\x5f\x41a\xff",                        // an indefinite length
        b"\xbf\x61a\x40\xff",                    // the same of a map
        b"\xa1\x60\x40",                         // no name
        b"\xa1\x61.\x40",                        // the directory itself
        b"\xa1\x62..\x40",                       // the one above
        b"\xa1\x63a/b\x40",                      // a path
        b"\xa1\x62a\0\x40",                      // a NUL
        b"\xa2\x61a\x40\x61a\x40",               // a name twice
        b"\xa2\x62aa\x40\x61b\x40",              // out of order
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", // 2^64 - 1 files
    ];
    for bytes in hostile {
        assert!(Configuration::decode(bytes).is_err(), "{bytes:02x?}");
    }
}
