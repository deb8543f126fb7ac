//! Any bytes are a question or are not passed on; what is asked anew is the same question, and an answer gives
//! addresses only by way of the name that was asked for.
#![no_main]

use std::time::Instant;

use arbitrary::Arbitrary;
use cloister_egress_policy::LearnedNames;
use cloister_egress_policy::dns::{
    error_reply, host_reply, read_answer, read_query, truncated, with_id,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    question: &'a [u8],
    answer: &'a [u8],
    id: u16,
    /// Whether the answer begins as one to the question does.
    is_related: bool,
}

fuzz_target!(|input: Input| {
    let query = match read_query(input.question) {
        Ok(query) => query,
        Err(unanswered) => {
            if let Some(reply) = error_reply(input.question, unanswered) {
                assert_eq!(reply[..2], input.question[..2]);
                assert!(reply[2] & 0x80 != 0);
            }
            return;
        }
    };
    let asked = query.encode(input.id);
    let again = read_query(&asked).expect("a question");
    assert_eq!(
        (&again.name, again.record_type, again.id),
        (&query.name, query.record_type, input.id)
    );
    if let Some(reply) = host_reply(&query) {
        assert!(read_answer(&query, query.id, &reply).is_some());
    }
    let bytes = if input.is_related {
        // The header of an answer, the question, and anything behind it.
        let mut bytes = [&asked[..], input.answer].concat();
        bytes[2] |= 0x80;
        bytes[7] = 4;
        bytes
    } else {
        input.answer.to_vec()
    };
    if let Some(answer) = read_answer(&query, input.id, &bytes) {
        assert_eq!(answer.names[0], query.name);
        assert!(answer.names.len() <= 14);
        let now = Instant::now();
        let mut learned = LearnedNames::default();
        learned.learn(&answer, now);
        for (address, _) in &answer.addresses {
            assert!(learned.find(*address, &query.name, now).is_some());
        }
    }
    let cut = truncated(&query, bytes.clone());
    assert!(cut.len() <= usize::from(query.udp_bytes).max(bytes.len().min(512)));
    let _ = with_id(cut, 1);
});
