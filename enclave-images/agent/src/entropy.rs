//! Random numbers before the app starts: the kernel's pool is seeded from the NSM (GetRandom),
//! because a virtual machine has no other source that the measured image can count on.
#![forbid(unsafe_code)]

use crate::kernel;
use minicbor::Decoder;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// `"GetRandom"` in CBOR.
const GET_RANDOM: &[u8] = b"\x69GetRandom";
/// A full seed of the kernel's generator is 32 bytes; AWS's NSM returns 256.
const MIN_SEED_BYTES: usize = 32;
pub const MAX_SEED_BYTES: usize = 256;
/// The kernel's hardware generators: `rng_available`, `rng_current`.
const GENERATORS: &str = "/sys/class/misc/hw_random";

/// Credits what `ask_nsm` returns to the pool in full.
///
/// # Errors
/// `InvalidData` when the NSM answers anything but 32 to 256 random bytes.
pub fn seed(ask_nsm: impl FnOnce(&[u8]) -> io::Result<Vec<u8>>) -> io::Result<()> {
    let response = ask_nsm(GET_RANDOM)?;
    let random =
        decode(&response).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    kernel::credit_entropy(random)
}

/// Has the kernel read from a hardware generator where there is one and none is in use.
pub fn select_generator() -> io::Result<()> {
    let generators = Path::new(GENERATORS);
    let Ok(available) = fs::read_to_string(generators.join("rng_available")) else {
        return Ok(());
    };
    let current = fs::read_to_string(generators.join("rng_current"))?;
    match available.split_whitespace().next() {
        Some(first) if current.trim() == "none" => fs::write(generators.join("rng_current"), first),
        _ => Ok(()),
    }
}

/// The bytes of `{"GetRandom": {"random": bstr}}`.
fn decode(response: &[u8]) -> Result<&[u8], minicbor::decode::Error> {
    let refuse = minicbor::decode::Error::message;
    let mut from = Decoder::new(response);
    if from.map()? != Some(1) || from.str()? != "GetRandom" {
        return Err(refuse("the NSM did not answer GetRandom"));
    }
    if from.map()? != Some(1) || from.str()? != "random" {
        return Err(refuse("no random bytes"));
    }
    let random = from.bytes()?;
    let whole = from.position() == response.len();
    match random.len() {
        MIN_SEED_BYTES..=MAX_SEED_BYTES if whole => Ok(random),
        _ => Err(refuse("not 32 to 256 random bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(count: u16) -> Vec<u8> {
        let mut bytes = b"\xa1\x69GetRandom\xa1\x66random\x59".to_vec();
        bytes.extend(count.to_be_bytes());
        bytes.resize(bytes.len() + usize::from(count), 0x5a);
        bytes
    }

    #[test]
    fn takes_32_to_256_bytes() {
        assert_eq!(decode(&answer(32)).unwrap().len(), 32);
        assert_eq!(decode(&answer(256)).unwrap().len(), 256);
        for count in [0, 31, 257] {
            assert!(decode(&answer(count)).is_err(), "{count} bytes");
        }
    }

    #[test]
    fn refuses_every_truncation_and_a_trailing_byte() {
        let whole = answer(40);
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "{end} bytes");
        }
        assert!(decode(&[whole, vec![0]].concat()).is_err());
    }

    #[test]
    fn refuses_an_error_of_the_nsm() {
        assert!(decode(b"\xa1\x65Error\x6dInternalError").is_err());
    }
}
