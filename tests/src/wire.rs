//! A SIP client of raw text for tests: RFC 3261 messages, digest, dialogs, and nothing hidden.

pub mod client;
pub mod dialog;
pub mod digest;
pub mod message;
pub mod request;
pub mod tls;
pub mod transport;

pub use client::{Client, PATIENCE, Reply};
pub use dialog::{Dialog, Subscription};
pub use message::Message;
pub use request::Request;
pub use transport::Via;
