//! SIP syntax, transactions, dialogs and digest (RFC 3261 family), free of clocks, sockets and
//! randomness.

pub mod aor;
pub mod clock;
pub mod deadlines;
pub mod digest;
pub mod entropy;
pub mod flow;
pub mod framing;
pub mod header;
pub mod locate;
pub mod message;
pub mod parse;
pub mod scan;
pub mod slot_token;
pub mod transaction;
pub mod uri;
pub mod write;
