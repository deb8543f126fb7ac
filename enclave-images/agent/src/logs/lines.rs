//! Lines of a stream, each bounded: what is longer is cut, and how much is known.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read};

/// Without the line end.
pub const MAX_LINE_BYTES: usize = 2048;
const CHUNK_BYTES: usize = 8192;

/// Calls `take` with each line, without its end, and with the number of bytes that were left out. What
/// follows the last line end is a line too.
pub fn each(mut from: impl Read, mut take: impl FnMut(&[u8], u64)) -> io::Result<()> {
    let mut line = Vec::with_capacity(MAX_LINE_BYTES);
    let mut cut = 0;
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let length = match from.read(&mut chunk) {
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        };
        for piece in chunk[..length].split_inclusive(|&byte| byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let kept = text.len().min(MAX_LINE_BYTES - line.len());
            line.extend_from_slice(&text[..kept]);
            cut += (text.len() - kept) as u64;
            if text.len() < piece.len() {
                take(&line, cut);
                line.clear();
                cut = 0;
            }
        }
    }
    if !line.is_empty() {
        take(&line, cut);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(Vec<u8>, u64)> {
        let mut found = Vec::new();
        let stream = chunks
            .iter()
            .fold(Box::new(io::empty()) as Box<dyn Read>, |before, &chunk| {
                Box::new(before.chain(chunk))
            });
        each(stream, |line, cut| found.push((line.to_vec(), cut))).unwrap();
        found
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let found = lines(&[b"on", b"e\n\ntw", b"o"]);
        assert_eq!(
            found,
            [(b"one".to_vec(), 0), (vec![], 0), (b"two".to_vec(), 0)]
        );
        assert_eq!(lines(&[]), []);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_not() {
        let long = [b'x'; 3 * CHUNK_BYTES];
        let found = lines(&[&long, b"\ny\n"]);
        let left_out = (long.len() - MAX_LINE_BYTES) as u64;
        assert_eq!(found[0], (long[..MAX_LINE_BYTES].to_vec(), left_out));
        assert_eq!(found[1], (b"y".to_vec(), 0));
    }
}
