//! One server transaction (RFC 3261 §17.2, RFC 6026 §7.1).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rsip::{Headers, Method, Request, Response};

use super::key::{Key, merge_key, server_key};
use super::layer::{Layer, Timer};
use super::{HoldMark, Payload, ServerId, timer};
use crate::clock::Instant;
use crate::flow::{Destination, Flow};
use crate::header::name_addr::NameAddr;
use crate::header::via::Via;
use crate::message::HeaderAccess;

/// Where a server transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No final response yet.
    Proceeding,
    /// A final response was sent and may be asked for again.
    Completed,
    /// An INVITE was refused and the ACK has come.
    Confirmed,
    /// An INVITE was accepted; repeated INVITEs are absorbed (RFC 6026 §7.1).
    Accepted,
}

/// A request that we answer.
#[derive(Debug)]
pub struct ServerTransaction {
    pub(super) key: Key,
    pub(super) merge_key: Option<Key>,
    pub(super) generation: u32,
    pub(super) is_invite: bool,
    pub(super) state: State,
    pub(super) destination: Destination,
    pub(super) response: Option<(Payload, HoldMark)>,
    /// The pause before the next retransmission of a refusal (timer G).
    pub(super) pause: Duration,
}

/// What a request is to the layer's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// New: to be answered with [`Layer::respond`]. `merged` tells that another transaction holds
    /// the same request, which came by another way (482 for who is its end).
    New {
        /// The transaction.
        id: ServerId,
        /// Came by another way too.
        merged: bool,
    },
    /// A CANCEL, to be answered itself, and the INVITE that it means.
    Cancel {
        /// The CANCEL's own transaction.
        id: ServerId,
        /// The INVITE's.
        invite: Option<ServerId>,
    },
    /// An ACK of a 2xx, to be passed on.
    Acknowledgement,
    /// Known already; the stored answer went out again if there is one.
    Absorbed,
    /// There is no room for another transaction.
    Overloaded,
}

impl<U: Clone> Layer<U> {
    /// Takes a request, and stamps its top Via with where it came from (RFC 3261 §18.2.1,
    /// RFC 3581 §4).
    pub fn receive_request(&mut self, flow: &Flow, request: &mut Request) -> Received {
        let Some(mut via) = request.headers.value("Via").and_then(|v| Via::parse(v).ok()) else {
            return Received::Absorbed;
        };
        stamp(&mut request.headers, &mut via, flow);
        let method = request.method;
        let own_method =
            if method == Method::Ack { "INVITE" } else { crate::message::method(method) };
        let key = server_key(request, &via, own_method);
        if let Some(id) = self.by_key.get(&key).copied() {
            return self.receive_again(id, method);
        }
        if method == Method::Ack {
            return Received::Acknowledgement;
        }
        if !self.has_room_for_server() {
            return Received::Overloaded;
        }
        let to = request.headers.value("To").and_then(|to| NameAddr::parse(to).ok());
        let is_initial = to.is_none_or(|to| to.tag().is_none());
        let merge_key = (is_initial && method != Method::Cancel).then(|| merge_key(request));
        let merged = merge_key.as_ref().is_some_and(|key| self.by_merge_key.contains_key(key));
        let generation = self.next_generation();
        let slot = self.servers.insert(ServerTransaction {
            key: key.clone(),
            merge_key: merge_key.clone(),
            generation,
            is_invite: method == Method::Invite,
            state: State::Proceeding,
            destination: response_destination(flow, &via),
            response: None,
            pause: timer::ROUND_TRIP,
        });
        let id = ServerId { slot: u32::try_from(slot).unwrap_or(u32::MAX), generation };
        self.by_key.insert(key, id);
        if let Some(key) = merge_key {
            self.by_merge_key.entry(key).or_insert(id);
        }
        if method == Method::Cancel {
            let invite = self.by_key.get(&server_key(request, &via, "INVITE")).copied();
            return Received::Cancel { id, invite };
        }
        Received::New { id, merged }
    }

    /// Sends a response in a transaction. A final one that comes after a final one is not sent,
    /// but for the 2xx of an INVITE that was accepted (RFC 6026 §7.1).
    pub fn respond(&mut self, now: Instant, id: ServerId, response: &Response, after: HoldMark) {
        let (head, ()) = self.responses.write(|out| crate::write::response(response, out));
        let status = response.status_code.code();
        self.respond_payload(now, id, status, Payload { head, body: None }, after);
    }

    fn respond_payload(
        &mut self,
        now: Instant,
        id: ServerId,
        status: u16,
        payload: Payload,
        after: HoldMark,
    ) {
        let Some(transaction) = self.server_mut(id) else { return };
        let destination = transaction.destination;
        let is_reliable = destination.transport().is_reliable();
        let is_invite = transaction.is_invite;
        match transaction.state {
            State::Proceeding => {}
            State::Accepted if (200..300).contains(&status) => {
                self.transmit(destination, payload, after, None);
                return;
            }
            State::Accepted | State::Completed | State::Confirmed => return,
        }
        transaction.response = Some((payload.clone(), after));
        if matches!(status, 401 | 407) {
            // Some phones answer a challenge without a new CSeq; that is no request merged from
            // two ways.
            let key = transaction.merge_key.take();
            key.and_then(|key| self.by_merge_key.remove(&key));
        }
        let Some(transaction) = self.server_mut(id) else { return };
        let next = match (status, is_invite) {
            (..200, _) => State::Proceeding,
            (200..300, true) => State::Accepted,
            _ => State::Completed,
        };
        transaction.state = next;
        self.transmit(destination, payload, after, None);
        match next {
            State::Proceeding | State::Confirmed => {}
            State::Completed if is_invite => {
                if !is_reliable {
                    let at = now + timer::ROUND_TRIP;
                    self.deadlines.insert(at, Timer::Server(id));
                }
                self.finish_server(now, id);
            }
            State::Completed if is_reliable => self.forget_server(id),
            State::Completed | State::Accepted => self.finish_server(now, id),
        }
    }

    fn receive_again(&mut self, id: ServerId, method: Method) -> Received {
        let Some(transaction) = self.server_mut(id) else { return Received::Absorbed };
        if method == Method::Ack {
            match transaction.state {
                State::Accepted => return Received::Acknowledgement,
                State::Completed => {
                    // Timer I: the INVITE and its ACK may still be repeated, so the transaction
                    // stays as a silent absorber until it is forgotten with the finished ones.
                    transaction.state = State::Confirmed;
                    transaction.response = None;
                }
                State::Proceeding | State::Confirmed => {}
            }
            return Received::Absorbed;
        }
        let destination = transaction.destination;
        let again = match transaction.state {
            State::Proceeding | State::Completed => transaction.response.clone(),
            // RFC 6026 §7.1: the accepting side sends its 2xx again by itself.
            State::Accepted | State::Confirmed => None,
        };
        self.tally.retransmissions_in += 1;
        if let Some((payload, after)) = again {
            self.tally.retransmissions_out += 1;
            self.transmit(destination, payload, after, None);
        }
        Received::Absorbed
    }

    /// Timer G: a refusal that nobody acknowledged goes out again.
    pub(super) fn server_due(&mut self, now: Instant, id: ServerId) {
        let Some(transaction) = self.server_mut(id) else { return };
        if transaction.state != State::Completed {
            return;
        }
        let Some((payload, after)) = transaction.response.clone() else { return };
        transaction.pause = (transaction.pause * 2).min(timer::LONGEST_PAUSE);
        let (pause, destination) = (transaction.pause, transaction.destination);
        self.tally.retransmissions_out += 1;
        self.transmit(destination, payload, after, None);
        self.deadlines.insert(now + pause, Timer::Server(id));
    }
}

/// Where an answer goes whose request has no transaction, with its top Via stamped as
/// [`Layer::receive_request`] would have stamped the request's.
pub fn address_response(headers: &mut Headers, flow: &Flow) -> Destination {
    match headers.value("Via").map(Via::parse) {
        Some(Ok(mut via)) => {
            stamp(headers, &mut via, flow);
            response_destination(flow, &via)
        }
        Some(Err(_)) | None => Destination::Flow(*flow),
    }
}

/// Adds `received` and fills in `rport` where they are due.
fn stamp(headers: &mut Headers, via: &mut Via, flow: &Flow) {
    let peer = flow.peer.ip().to_canonical();
    let asks_for_port = matches!(via.rport, Some(None));
    let named: Option<IpAddr> = via.host.trim_matches(['[', ']']).parse().ok();
    if asks_for_port {
        via.rport = Some(Some(flow.peer.port()));
    }
    if asks_for_port || named != Some(peer) {
        via.received = Some(peer);
        headers.remove_first("Via");
        headers.prepend("Via", &via.to_string());
    }
}

/// RFC 3261 §18.2.2 and RFC 3581 §4; `maddr` is not followed, it would let anyone aim our answers.
fn response_destination(flow: &Flow, via: &Via) -> Destination {
    if flow.transport.is_reliable() || via.rport.is_some() {
        return Destination::Flow(*flow);
    }
    let port = via.port.unwrap_or_else(|| flow.transport.default_port());
    Destination::Flow(Flow { peer: SocketAddr::new(flow.peer.ip(), port), ..*flow })
}
