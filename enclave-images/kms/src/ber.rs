//! A reader of BER (X.690 section 8) for values whose structure the caller knows: tags of one octet, lengths of
//! the definite form and, for constructed values, of the indefinite form. It neither recurses nor
//! allocates, and never reads beyond its input.
#![forbid(unsafe_code)]

use crate::failure::{Code, Failure};

/// Set in the tag of a constructed value.
const CONSTRUCTED: u8 = 0x20;
const INDEFINITE: u8 = 0x80;
const END_OF_CONTENTS: [u8; 2] = [0, 0];
/// More than the longest input needs.
const MAX_LENGTH_OCTETS: usize = 4;

pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// Where the innermost value of known length ends.
    end: usize,
}

/// A constructed value that was entered.
#[must_use]
pub struct Entered {
    /// The end of the value around it; `None` where its own end is marked by octets.
    outer_end: Option<usize>,
}

impl<'a> Reader<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            end: input.len(),
        }
    }

    /// The tag of the next value; `None` at the end of the value that was entered.
    pub fn peek(&self) -> Option<u8> {
        let rest = &self.input[self.at..self.end];
        if rest.starts_with(&END_OF_CONTENTS) {
            None
        } else {
            rest.first().copied()
        }
    }

    /// Enters a constructed value with this tag.
    pub fn enter(&mut self, tag: u8) -> Result<Entered, Failure> {
        debug_assert!(tag & CONSTRUCTED != 0);
        self.tag(tag)?;
        let outer_end = match self.length()? {
            None => None,
            Some(length) => {
                let outer = self.end;
                self.end = self.at + length;
                Some(outer)
            }
        };
        Ok(Entered { outer_end })
    }

    /// Leaves the value that was entered last, which must have been read completely.
    pub fn leave(&mut self, entered: &Entered) -> Result<(), Failure> {
        match entered.outer_end {
            None => {
                if self.take(END_OF_CONTENTS.len())? != END_OF_CONTENTS {
                    return Err(malformed("a value has more fields than expected"));
                }
            }
            Some(outer) => {
                if self.at != self.end {
                    return Err(malformed("a value has more fields than expected"));
                }
                self.end = outer;
            }
        }
        Ok(())
    }

    /// The content of a primitive value with this tag.
    pub fn primitive(&mut self, tag: u8) -> Result<&'a [u8], Failure> {
        debug_assert!(tag & CONSTRUCTED == 0);
        self.tag(tag)?;
        match self.length()? {
            Some(length) => self.take(length),
            None => Err(malformed("a primitive value has no definite length")),
        }
    }

    /// Reads a value that must have exactly these octets.
    pub fn exactly(&mut self, octets: &[u8], what: &str) -> Result<(), Failure> {
        if self.take(octets.len())? == octets {
            Ok(())
        } else {
            Err(malformed(&format!(
                "it has no {what} where one is expected"
            )))
        }
    }

    /// Nothing may follow.
    pub fn finish(self) -> Result<(), Failure> {
        if self.at == self.input.len() {
            Ok(())
        } else {
            Err(malformed("octets follow its end"))
        }
    }

    fn tag(&mut self, expected: u8) -> Result<(), Failure> {
        match self.take(1)?[0] {
            tag if tag == expected => Ok(()),
            tag => Err(malformed(&format!(
                "it has the tag {tag:#04x} where {expected:#04x} is expected"
            ))),
        }
    }

    /// `None` for the indefinite form. A length never exceeds what is left.
    fn length(&mut self) -> Result<Option<usize>, Failure> {
        let first = self.take(1)?[0];
        if first == INDEFINITE {
            return Ok(None);
        }
        let mut length = usize::from(first);
        if first & INDEFINITE != 0 {
            let count = usize::from(first & !INDEFINITE);
            if count > MAX_LENGTH_OCTETS {
                return Err(malformed("a length has too many octets"));
            }
            length = self
                .take(count)?
                .iter()
                .fold(0, |length, octet| (length << 8) | usize::from(*octet));
        }
        if length > self.end - self.at {
            return Err(malformed("it ends too early"));
        }
        Ok(Some(length))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        if count > self.end - self.at {
            return Err(malformed("it ends too early"));
        }
        let taken = &self.input[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }
}

pub fn malformed(reason: &str) -> Failure {
    Failure::new(
        Code::Cms,
        format!("CiphertextForRecipient is not as AWS KMS encodes it: {reason}"),
    )
}
