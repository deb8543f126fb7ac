//! The proxy on the guest's loopback. An unmodified AWS SDK signs a request for it; the proxy checks that
//! signature, adds `Recipient`, signs anew with the same access key, and answers as AWS KMS answers to
//! a client without a document.

mod answer;
mod authenticate;
mod key_pool;
mod server;

pub use answer::{Answer, Proxy};
pub use key_pool::KeyPool;
pub use server::serve;
