//! What every card does before it maps guest memory: it takes the descriptors that the keeper
//! handed down, and gives up whatever else it could reach.
#![deny(unsafe_code)]

pub mod descriptors;
pub mod inherited;
pub mod private_root;
pub mod program;
pub mod sandbox;
mod system_calls;
pub mod vsock_socket;
