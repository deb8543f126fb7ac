//! Messages on a stream: `u32` big-endian length, then that many bytes. Streams to the parent
//! carry lengths because not every vsock card passes a half-close on.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};

/// Writes one message with a single call, so that messages of two threads never mix.
pub fn write(mut to: impl Write, message: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(4 + message.len());
    append(&mut frame, message)?;
    to.write_all(&frame)
}

/// Adds one message to those that are written together.
pub fn append(frames: &mut Vec<u8>, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| ErrorKind::InvalidInput)?;
    frames.extend_from_slice(&length.to_be_bytes());
    frames.extend_from_slice(message);
    Ok(())
}

/// Reads one message of at most `max` bytes.
///
/// # Errors
/// `InvalidData` when the length is above `max` (nothing is allocated for it), `UnexpectedEof`
/// when the stream ends first, and what the stream itself reports.
pub fn read(mut from: impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 4];
    from.read_exact(&mut prefix)?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > max {
        let error = format!("a message of {length} bytes, where at most {max} are allowed");
        return Err(io::Error::new(ErrorKind::InvalidData, error));
    }
    let mut message = vec![0; length];
    from.read_exact(&mut message)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let mut stream = Vec::new();
        write(&mut stream, b"one").unwrap();
        write(&mut stream, b"").unwrap();
        assert_eq!(stream, b"\0\0\0\x03one\0\0\0\0");
        let mut from = stream.as_slice();
        assert_eq!(read(&mut from, 3).unwrap(), b"one");
        assert_eq!(read(&mut from, 3).unwrap(), b"");
    }

    #[test]
    fn refuses_a_length_above_the_limit() {
        let error = read(b"\xff\xff\xff\xffx".as_slice(), 4096).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn refuses_every_truncation() {
        let whole = b"\0\0\0\x03one";
        for end in 0..whole.len() {
            let error = read(&whole[..end], 16).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{end} bytes");
        }
    }
}
