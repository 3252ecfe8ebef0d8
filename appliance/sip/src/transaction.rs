//! Transactions (RFC 3261 §17 with RFC 6026): retransmission, matching and giving up.

pub mod client;
mod index;
pub mod key;
pub mod layer;
pub mod server;
pub mod timer;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::flow::Destination;

/// A message ready for the wire: its head, and a body that other messages may share.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Start line, headers and the blank line; the whole message when there is no shared body.
    pub head: Bytes,
    /// The body, shared between all messages that carry it.
    pub body: Option<Arc<[u8]>>,
}

impl Payload {
    /// A message in one piece.
    #[must_use]
    pub fn whole(message: &[u8]) -> Self {
        Self { head: Bytes::copy_from_slice(message), body: None }
    }

    /// The message in one piece, copied.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_vec();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// Where messages are written one behind the other: an allocation serves many of them, and is
/// used again or freed when the last of them is done with.
#[derive(Debug)]
pub(crate) struct Scroll(BytesMut);

impl Scroll {
    /// The room of one allocation, in octets.
    const ROOM: usize = 16 * 1024;

    /// What `write` puts behind the messages before.
    pub(crate) fn write<T>(&mut self, write: impl FnOnce(&mut BytesMut) -> T) -> (Bytes, T) {
        let outcome = write(&mut self.0);
        (self.0.split().freeze(), outcome)
    }
}

impl Default for Scroll {
    fn default() -> Self {
        Self(BytesMut::with_capacity(Self::ROOM))
    }
}

/// A number of the owner's that travels with a message: it is not to leave before that point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HoldMark(pub u64);

/// A message to send.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// Where to.
    pub destination: Destination,
    /// What.
    pub payload: Payload,
    /// Not before this point.
    pub after: HoldMark,
    /// The client transaction that wants to know if it cannot be sent.
    pub report: Option<ClientId>,
}

/// Names a server transaction for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId {
    slot: u32,
    generation: u32,
}

/// Names a client transaction for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId {
    slot: u32,
    generation: u32,
}

impl ClientId {
    /// The id as one number.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        ((self.slot as u64) << 32) | self.generation as u64
    }

    /// The id that [`Self::to_u64`] gave.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self { slot: (number >> 32) as u32, generation: (number & 0xffff_ffff) as u32 }
    }
}
