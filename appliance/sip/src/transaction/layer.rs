//! All transactions of a node: who a message belongs to, and what is due.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rsip::Response;
use slab::Slab;

use super::client::ClientTransaction;
use super::index::Index;
use super::server::{ServerTransaction, State as ServerState};
use super::{ClientId, HoldMark, Payload, Scroll, ServerId, Transmit, timer};
use crate::clock::Instant;
use crate::deadlines::Deadlines;
use crate::entropy::Entropy;
use crate::flow::{Destination, Transport};

/// What the layer tells its user.
#[derive(Debug)]
pub enum Event<U> {
    /// A response to a request sent with [`Layer::send`].
    Response {
        /// The transaction.
        id: ClientId,
        /// What its sender gave.
        user: U,
        /// The response.
        response: Box<Response>,
    },
    /// The final status of a request sent with [`Layer::send_lean`].
    Status {
        /// What its sender gave.
        user: U,
        /// The status code.
        status: u16,
        /// Seconds of a Retry-After header.
        retry_after: Option<u32>,
    },
    /// Nobody answered in time.
    TimedOut {
        /// The transaction, which is over.
        id: ClientId,
        /// What its sender gave.
        user: U,
    },
    /// The request could not be sent.
    Unreachable {
        /// The transaction, which is over.
        id: ClientId,
        /// What its sender gave.
        user: U,
    },
}

/// What the layer counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Requests that came again.
    pub retransmissions_in: u64,
    /// Messages sent again.
    pub retransmissions_out: u64,
    /// Responses that belong to nothing.
    pub stray_responses: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Timer {
    Server(ServerId),
    Client(ClientId),
}

/// The transactions of a node. `U` is what the user wants back with an answer.
#[derive(Debug)]
pub struct Layer<U> {
    pub(super) servers: Slab<ServerTransaction>,
    pub(super) by_key: Index,
    pub(super) by_merge_key: Index,
    pub(super) clients: Slab<ClientTransaction<U>>,
    pub(super) deadlines: Deadlines<Timer>,
    /// Server transactions that only wait to be forgotten (timers J and L), in order.
    pub(super) finished: VecDeque<(Instant, ServerId)>,
    /// Where requests are written, and where responses are: these live longer.
    pub(super) requests: Scroll,
    pub(super) responses: Scroll,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event<U>>,
    pub(super) entropy: Entropy,
    pub(super) generation: u32,
    pub(super) listeners: Vec<(Transport, SocketAddr)>,
    pub(super) limit: usize,
    pub(super) tally: Tally,
}

impl<U: Clone> Layer<U> {
    /// A layer that sends from `listeners` and keeps at most `limit` transactions of each side.
    #[must_use]
    pub fn new(
        listeners: Vec<(Transport, SocketAddr)>,
        limit: usize,
        mut entropy: Entropy,
    ) -> Self {
        Self {
            servers: Slab::new(),
            by_key: Index::new(entropy.next_u64()),
            by_merge_key: Index::new(entropy.next_u64()),
            clients: Slab::new(),
            deadlines: Deadlines::default(),
            finished: VecDeque::new(),
            requests: Scroll::default(),
            responses: Scroll::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            entropy,
            generation: 0,
            listeners,
            limit,
            tally: Tally::default(),
        }
    }

    /// Transactions of both sides, those that only absorb repetitions included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// Whether there is no transaction.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The counts since the start.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event<U>> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let finished = self.finished.front().map(|(at, _)| *at);
        match (self.deadlines.next(), finished) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Retransmits, gives up and forgets what has come due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.deadlines.pop_due(now) {
            match timer {
                Timer::Server(id) => self.server_due(now, id),
                Timer::Client(id) => self.client_due(now, id),
            }
        }
        while let Some((at, id)) = self.finished.front().copied() {
            if at > now {
                break;
            }
            self.finished.pop_front();
            self.forget_server(id);
        }
    }

    /// The address that a Via, Contact or Record-Route gives for messages to `destination`.
    #[must_use]
    pub fn sent_by(&self, destination: &Destination) -> SocketAddr {
        match destination {
            Destination::Flow(flow) if flow.transport == Transport::Udp => flow.local,
            _ => {
                let transport = destination.transport();
                let peer = match destination {
                    Destination::Flow(flow) => flow.peer,
                    Destination::Hop(hop) => hop.address,
                };
                self.listener(transport, peer).unwrap_or(match destination {
                    Destination::Flow(flow) => flow.local,
                    Destination::Hop(hop) => hop.address,
                })
            }
        }
    }

    /// The listener that a peer would reach us at.
    #[must_use]
    pub fn listener(&self, transport: Transport, peer: SocketAddr) -> Option<SocketAddr> {
        let same = |(t, _): &&(Transport, SocketAddr)| *t == transport;
        let family = |(_, a): &&(Transport, SocketAddr)| a.is_ipv4() == peer.is_ipv4();
        let mut candidates = self.listeners.iter().filter(same);
        candidates.clone().find(family).or_else(|| candidates.next()).map(|(_, address)| *address)
    }

    pub(super) fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    pub(super) fn transmit(
        &mut self,
        destination: Destination,
        payload: Payload,
        after: HoldMark,
        report: Option<ClientId>,
    ) {
        self.transmits.push_back(Transmit { destination, payload, after, report });
    }

    /// Makes room for a new server transaction by forgetting the oldest finished one early.
    pub(super) fn has_room_for_server(&mut self) -> bool {
        while self.servers.len() >= self.limit {
            let Some((_, id)) = self.finished.pop_front() else { return false };
            self.forget_server(id);
        }
        true
    }

    pub(super) fn finish_server(&mut self, now: Instant, id: ServerId) {
        self.finished.push_back((now + timer::GIVE_UP, id));
    }

    pub(super) fn forget_server(&mut self, id: ServerId) {
        let current = self.servers.get(id.slot as usize).map(|t| t.generation);
        if current != Some(id.generation) {
            return;
        }
        let transaction = self.servers.remove(id.slot as usize);
        self.by_key.remove(transaction.key(), id.slot);
        if let Some(key) = transaction.merge_key() {
            self.by_merge_key.remove(key, id.slot);
        }
    }

    pub(super) fn server_mut(&mut self, id: ServerId) -> Option<&mut ServerTransaction> {
        self.servers.get_mut(id.slot as usize).filter(|t| t.generation == id.generation)
    }

    /// Whether the transaction still waits for its final response.
    #[must_use]
    pub fn is_unanswered(&self, id: ServerId) -> bool {
        self.servers
            .get(id.slot as usize)
            .is_some_and(|t| t.generation == id.generation && t.state == ServerState::Proceeding)
    }
}
