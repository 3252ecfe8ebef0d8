//! SIP syntax, transactions, dialogs and digest (RFC 3261 family), free of clocks, sockets and
//! randomness.

pub mod clock;
pub mod flow;
