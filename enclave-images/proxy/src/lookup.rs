//! The addresses of a name, asked of the network card, which asks the host's resolvers by the same rules.
#![forbid(unsafe_code)]

use cloister_egress_policy::Name;
use cloister_egress_policy::dns::{Answer, Query, read_answer, read_query};
use cloister_egress_policy::wire::{Request, Status, frame};
use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// RFC 1035 section 3.2.2, RFC 3596 section 2.1; also the ids of the two questions.
const TYPES: [u16; 2] = [A, AAAA];
const A: u16 = 1;
const AAAA: u16 = 28;
const IN: u16 = 1;
/// One question, recursion desired.
const HEADER: [u8; 10] = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0];

/// IPv4 first, as the network card's host has that rather.
///
/// # Errors
/// When the stream breaks, or its answers are malformed.
pub async fn look_up(
    name: &Name,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<Vec<Answer>> {
    let questions = TYPES.map(|it| question(name, it));
    let framed = questions.iter().filter_map(|it| frame(it));
    let bytes = [Request::Dns.encode(), framed.collect::<Vec<_>>().concat()].concat();
    stream.write_all(&bytes).await?;
    if stream.read_u8().await? != Status::Ok.to_byte() {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    let queries = questions.map(|it| read_query(&it));
    let mut answers = Vec::new();
    for _ in TYPES {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        let fitting = queries.iter().flatten().find_map(|it| read(it, &message));
        answers.extend(fitting);
    }
    answers.sort_by_key(|answer| matches!(answer.addresses.first(), Some((it, _)) if it.is_ipv6()));
    Ok(answers)
}

fn read(query: &Query, message: &[u8]) -> Option<Answer> {
    read_answer(query, query.id, message)
}

fn question(name: &Name, kind: u16) -> Vec<u8> {
    let mut message = kind.to_be_bytes().to_vec();
    message.extend(HEADER);
    for label in name.as_str().split('.') {
        message.push(label.len() as u8); // at most 63
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend(IN.to_be_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_that_may_be_asked() {
        let name = Name::new("a.example").unwrap();
        let query = read_query(&question(&name, AAAA)).unwrap();
        assert_eq!(
            (query.name, query.record_type, query.id),
            (name, AAAA, AAAA)
        );
    }
}
