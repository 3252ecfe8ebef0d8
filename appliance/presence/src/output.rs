//! What the server wants done: effects as values, drained after every input.

use sip::flow::{ConnectionId, Destination};
pub use sip::transaction::Payload;

use crate::command::Answer;
use crate::record::Change;

/// Joins a question to the answer that comes back as an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Counts the batches given to the store; a batch is durable when the watermark reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SaveSequence(pub u64);

/// A message to send.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// Where to.
    pub destination: Destination,
    /// What.
    pub payload: Payload,
    /// Hold it until the store has reached this batch, unless the store is degraded. Held
    /// messages leave in the order in which they were put out.
    pub after: SaveSequence,
    /// Report a failure to send with this ticket (`Server::handle_send_failed`).
    pub on_failure: Option<Ticket>,
}

/// An effect for the edge to carry out, in the order in which it is polled.
#[derive(Debug)]
pub enum Output {
    /// Send a message.
    Transmit(Transmit),
    /// Find the next hops of a URI (RFC 3263), then call `Server::handle_located`.
    Locate {
        /// Returned with the answer.
        ticket: Ticket,
        /// What to locate.
        target: sip::locate::Target,
    },
    /// Write soft state behind; `Server::handle_durable` reports how far the store has come.
    Save {
        /// The number of this batch; numbers rise by one, shared with `Commit`.
        sequence: SaveSequence,
        /// Written all or not at all.
        changes: Vec<Change>,
    },
    /// Write hard state, then call `Server::handle_committed` with the outcome.
    Commit {
        /// Returned with the outcome.
        ticket: Ticket,
        /// The number of this batch.
        sequence: SaveSequence,
        /// Written all or not at all.
        changes: Vec<Change>,
    },
    /// A command has its answer.
    Answered {
        /// The ticket given with `Server::handle_command`.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// Close a connection whose peer broke the protocol beyond repair.
    Close(ConnectionId),
}
