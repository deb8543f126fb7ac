//! The messages of the agent channel: CBOR maps with text keys, definite lengths, shortest integers.
//! Agent to parent: configure, time, failed, started, exited, signaled. Parent to agent: a request to
//! signal, and what time it is.
#![forbid(unsafe_code)]

use crate::failure::Failure;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use std::convert::Infallible;
use std::fmt;

/// Largest message of the agent channel in bytes, either way, without its length prefix.
pub const MAX_MESSAGE_BYTES: usize = 4096;
/// Longest texts in a `failed` message, so that it always fits.
const MAX_STEP_BYTES: usize = 256;
const MAX_ERROR_BYTES: usize = 3072;
/// `{"event": "configure"}`; the parent's answer is the configuration alone.
pub const ASK_FOR_CONFIGURATION: &[u8] = b"\xa1\x65event\x69configure";
/// `{"event": "time", "id": uint}`; the parent's answer is [`Request::Time`] with the same number.
pub fn ask_time(id: u32) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    let written = encoder
        .map(2)
        .and_then(|to| to.str("event")?.str("time")?.str("id")?.u32(id));
    written.expect("writing to memory cannot fail");
    encoder.into_writer()
}

/// The highest signal number of Linux (SIGRTMAX).
const MAX_SIGNAL: u8 = 64;

/// What the agent reports to the parent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Failed { step: String, error: String },
    Started { pid: u32 },
    Exited { code: u32 },
    Signaled { signal: u32 },
}

impl Event {
    pub fn failed(step: &str, error: &str) -> Self {
        Self::Failed {
            step: step.into(),
            error: error.into(),
        }
    }

    /// The CBOR bytes, at most [`MAX_MESSAGE_BYTES`]: long texts are cut.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        self.write(&mut encoder)
            .expect("writing to memory cannot fail");
        encoder.into_writer()
    }

    fn write(&self, to: &mut Encoder<Vec<u8>>) -> Result<(), minicbor::encode::Error<Infallible>> {
        match self {
            Self::Failed { step, error } => {
                to.map(3)?.str("event")?.str("failed")?;
                to.str("step")?.str(cut(step, MAX_STEP_BYTES))?;
                to.str("error")?.str(cut(error, MAX_ERROR_BYTES))?;
            }
            Self::Started { pid } => {
                to.map(2)?
                    .str("event")?
                    .str("started")?
                    .str("pid")?
                    .u32(*pid)?;
            }
            Self::Exited { code } => {
                to.map(2)?
                    .str("event")?
                    .str("exited")?
                    .str("code")?
                    .u32(*code)?;
            }
            Self::Signaled { signal } => {
                to.map(2)?
                    .str("event")?
                    .str("signaled")?
                    .str("signal")?
                    .u32(*signal)?;
            }
        }
        Ok(())
    }
}

impl From<Failure> for Event {
    fn from(failure: Failure) -> Self {
        Self::Failed {
            step: failure.step,
            error: failure.error,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { step, error } => write!(f, "{step}: {error}"),
            Self::Started { pid } => write!(f, "the app runs as process {pid}"),
            Self::Exited { code } => write!(f, "the app exited with status {code}"),
            Self::Signaled { signal } => write!(f, "the app was killed by signal {signal}"),
        }
    }
}

/// The longest prefix of `text` of at most `max` bytes that ends between two characters.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// What the parent may ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Send this signal, 1 to 64, to the app's process group.
    Signal(u8),
    /// What time it is, for who asked.
    Time(ParentTime),
}

/// The parent's clock when it answered the question `id`.
#[derive(Debug, PartialEq, Eq)]
pub struct ParentTime {
    pub id: u32,
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
}

impl Request {
    /// Decodes `{"request": "signal", "signal": uint}` or `{"request": "time", "id": uint, "ns": uint}`, keys
    /// in any order.
    ///
    /// # Errors
    /// Anything else: other keys, a key twice, trailing bytes, an invalid signal number.
    pub fn decode(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        let refuse = minicbor::decode::Error::message;
        let mut from = Decoder::new(bytes);
        let (mut request, mut signal, mut id, mut ns) = (None, None, None, None);
        let count = match from.map()? {
            Some(count @ 2..=3) => count,
            _ => return Err(refuse("not a map of two or three")),
        };
        for _ in 0..count {
            match from.str()? {
                "request" => request = Some(from.str()?),
                "signal" if from.datatype()? == Type::U8 => signal = Some(from.u8()?),
                "id" => id = Some(from.u32()?),
                "ns" => ns = Some(from.u64()?),
                _ => return Err(refuse("unknown key or wrong type")),
            }
        }
        match (request, signal, id, ns, count) {
            _ if from.position() != bytes.len() => Err(refuse("trailing bytes")),
            (Some("signal"), Some(number @ 1..=MAX_SIGNAL), None, None, 2) => {
                Ok(Self::Signal(number))
            }
            (Some("time"), None, Some(id), Some(unix_ns), 3) => {
                Ok(Self::Time(ParentTime { id, unix_ns }))
            }
            _ => Err(refuse("neither a request to signal nor a time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINATE: &[u8] = b"\xa2\x67request\x66signal\x66signal\x0f";

    #[test]
    fn encodes_each_event_in_its_shortest_form() {
        let started = Event::Started { pid: 300 }.encode();
        assert_eq!(started, b"\xa2\x65event\x67started\x63pid\x19\x01\x2c");
        assert_eq!(
            Event::Exited { code: 7 }.encode(),
            b"\xa2\x65event\x66exited\x64code\x07"
        );
        let killed = Event::Signaled { signal: 9 }.encode();
        assert_eq!(killed, b"\xa2\x65event\x68signaled\x66signal\x09");
        let failed = Event::failed("s", "e").encode();
        assert_eq!(
            failed,
            b"\xa3\x65event\x66failed\x64step\x61s\x65error\x61e"
        );
    }

    #[test]
    fn a_failed_event_fits_whatever_its_texts_are() {
        let long = "\u{1f980}".repeat(5000);
        let bytes = Event::failed(&long, &long).encode();
        assert!(bytes.len() <= MAX_MESSAGE_BYTES);
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(decoder.map().unwrap(), Some(3));
        (0..6).for_each(|_| assert!(decoder.str().is_ok()));
    }

    #[test]
    fn decodes_a_request_with_its_keys_in_either_order() {
        assert_eq!(Request::decode(TERMINATE).unwrap(), Request::Signal(15));
        let swapped = b"\xa2\x66signal\x0f\x67request\x66signal";
        assert_eq!(Request::decode(swapped).unwrap(), Request::Signal(15));
    }

    #[test]
    fn asks_for_the_time_and_decodes_it() {
        assert_eq!(ask_time(7), b"\xa2\x65event\x64time\x62id\x07");
        let answer = b"\xa3\x67request\x64time\x62id\x07\x62ns\x1b\x18\xeb\xd8\x2f\x00\x00\x00\x00";
        let expected = ParentTime {
            id: 7,
            unix_ns: 0x18eb_d82f_0000_0000,
        };
        assert_eq!(Request::decode(answer).unwrap(), Request::Time(expected));
        for end in 0..answer.len() {
            assert!(Request::decode(&answer[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn refuses_every_truncation_and_a_trailing_byte() {
        for end in 0..TERMINATE.len() {
            assert!(Request::decode(&TERMINATE[..end]).is_err(), "{end} bytes");
        }
        assert!(Request::decode(&[TERMINATE, b"\x00"].concat()).is_err());
    }

    #[test]
    fn refuses_hostile_requests() {
        let hostile: [&[u8]; 11] = [
            b"\xa2\x67request\x64time\x62id\x07",                 // no time
            b"\xa3\x67request\x64time\x62id\x07\x62ns\x20",       // before 1970
            b"\xa3\x67request\x66signal\x66signal\x0f\x62id\x07", // both
            b"\xa2\x67request\x66signal\x66signal\x00",           // signal 0
            b"\xa2\x67request\x66signal\x66signal\x18\x41",       // signal 65
            b"\xa2\x67request\x66signal\x66signal\x20",           // a negative number
            b"\xa2\x67request\x66signal\x67request\x66signal",    // no signal, a key twice
            b"\xa2\x67request\x64halt\x66signal\x0f",             // an unknown request
            b"\xa3\x67request\x66signal\x66signal\x0f\x61x\x00",  // a key too many
            b"\xbf\x67request\x66signal\x66signal\x0f\xff",       // indefinite length
            b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",              // 2^64 - 1 entries
        ];
        for bytes in hostile {
            assert!(Request::decode(bytes).is_err(), "{bytes:02x?}");
        }
    }
}
