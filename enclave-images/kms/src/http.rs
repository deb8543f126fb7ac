//! HTTP/1.1 (RFC 9112) messages with a Content-Length, read from a stream within bounds. Left out, and refused:
//! chunked bodies, repeated header fields, bodies that end with the connection.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read};

pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The largest request of AWS's model is a document of 262144 bytes in base64, and little else.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
const MAX_HEADERS: usize = 64;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Header fields with names in lower case, each of which is there once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Headers {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn parse(parsed: &[httparse::Header]) -> io::Result<Self> {
        let mut headers = Self::default();
        for header in parsed {
            let name = header.name.to_ascii_lowercase();
            let value = str::from_utf8(header.value)
                .map_err(|_| invalid(format!("the header {name} is not UTF-8")))?;
            if headers.get(&name).is_some() {
                return Err(invalid(format!("the header {name} is there twice")));
            }
            headers.0.push((name, value.into()));
        }
        Ok(headers)
    }

    /// Bytes of the body that follows.
    fn body_length(&self) -> io::Result<Option<usize>> {
        if self.get("transfer-encoding").is_some() {
            return Err(invalid("chunked bodies are not supported"));
        }
        let Some(text) = self.get("content-length") else {
            return Ok(None);
        };
        let digits =
            !text.is_empty() && text.len() <= 9 && text.bytes().all(|it| it.is_ascii_digit());
        let length = text.parse().ok().filter(|_| digits);
        match length {
            Some(length) if length <= MAX_BODY_BYTES => Ok(Some(length)),
            Some(_) => Err(invalid(format!(
                "a body has more than {MAX_BODY_BYTES} bytes"
            ))),
            None => Err(invalid("Content-Length is not a number")),
        }
    }
}

/// Reads one message after the other from a stream.
pub struct Messages<S> {
    pub stream: S,
    /// What was read and belongs to the next message.
    buffered: Vec<u8>,
}

impl<S: Read> Messages<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffered: Vec::new(),
        }
    }

    /// The next request; `None` at the end of the stream between two of them.
    pub fn request(&mut self) -> io::Result<Option<Request>> {
        let Some(head) = self.head()? else {
            return Ok(None);
        };
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut fields);
        let complete = parsed
            .parse(&head)
            .map_err(|error| invalid(error.to_string()))?;
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
            return Err(invalid("a request without method and path"));
        };
        if complete != httparse::Status::Complete(head.len()) || parsed.version != Some(1) {
            return Err(invalid("not a request of HTTP/1.1"));
        }
        let headers = Headers::parse(parsed.headers)?;
        let length = headers.body_length()?.unwrap_or(0);
        if headers.get("expect").is_some() {
            return Err(invalid("Expect is not supported"));
        }
        Ok(Some(Request {
            method: method.into(),
            target: target.into(),
            headers,
            body: self.body(length)?,
        }))
    }

    /// The response to the only request.
    pub fn response(mut self) -> io::Result<Response> {
        let head = self.head()?.ok_or(ErrorKind::UnexpectedEof)?;
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut fields);
        let complete = parsed
            .parse(&head)
            .map_err(|error| invalid(error.to_string()))?;
        let Some(status @ 200..=599) = parsed.code else {
            return Err(invalid("a response without a final status"));
        };
        if complete != httparse::Status::Complete(head.len()) {
            return Err(invalid("not a response of HTTP/1.1"));
        }
        let headers = Headers::parse(parsed.headers)?;
        let length = headers
            .body_length()?
            .ok_or_else(|| invalid("a response without Content-Length"))?;
        Ok(Response {
            status,
            headers,
            body: self.body(length)?,
        })
    }

    /// Up to and with the empty line; `None` where the stream ends before the first byte.
    fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched: usize = 0;
        loop {
            let from = searched.saturating_sub(END_OF_HEAD.len() - 1);
            let found = self.buffered[from..]
                .windows(END_OF_HEAD.len())
                .position(|window| window == END_OF_HEAD);
            if let Some(at) = found {
                let rest = self.buffered.split_off(from + at + END_OF_HEAD.len());
                return Ok(Some(std::mem::replace(&mut self.buffered, rest)));
            }
            searched = self.buffered.len();
            if searched > MAX_HEAD_BYTES {
                return Err(invalid(format!(
                    "a head has more than {MAX_HEAD_BYTES} bytes"
                )));
            }
            if !self.fill()? {
                return match searched {
                    0 => Ok(None),
                    _ => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    fn body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffered.len() < length {
            if !self.fill()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.buffered.split_off(length);
        Ok(std::mem::replace(&mut self.buffered, rest))
    }

    /// False at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        let count = loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.buffered.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message.into())
}
