//! Black-box, simulated-world and interoperability tests: what the test binaries share.
//!
//! `wire` is a SIP client that writes and reads raw text; it must not use the crate `sip`, so that
//! one bug cannot hide the other. `node` runs the built daemon and its command.

pub mod http;
pub mod ldap;
pub mod machine;
pub mod node;
pub mod pidf;
pub mod program;
pub mod rlmi;
pub mod wire;
pub mod xcap;
