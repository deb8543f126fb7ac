//! DNS messages (RFC 1035, RFC 6891): one question from a program, and the answer of the host's resolver. Read by
//! NLnet Labs' `domain`; what this module adds is which questions are asked at all, and which addresses a name gave.

mod answer;
mod query;

pub use answer::{Answer, read_answer, reply_to, truncated, with_id};
pub use query::{Query, Unanswered, error_reply, host_reply, read_query};

use domain::base::ParsedName;
use domain::base::name::ToLabelIter;

use crate::name::{MAX_NAME_BYTES, Name};

/// Without EDNS, RFC 1035 section 4.2.1.
pub const MIN_UDP_BYTES: u16 = 512;
/// What is told to a server as ours.
const OWN_UDP_BYTES: u16 = 4096;

/// A name that rules can speak of.
fn read_name<Octets: AsRef<[u8]>>(name: &ParsedName<Octets>) -> Option<Name> {
    let mut text = String::with_capacity(MAX_NAME_BYTES);
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        let label = std::str::from_utf8(label.as_slice()).ok()?;
        if label.contains('.') {
            return None; // would be read as two
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(label);
    }
    Name::new(&text).ok()
}
