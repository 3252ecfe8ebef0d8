//! One server transaction (RFC 3261 §17.2, RFC 6026 §7.1).

use std::net::SocketAddr;

use bytes::Bytes;
use rsip::{Header, Headers, Method, Request, Response};

use super::key::{push_merge_key, push_server_key};
use super::layer::{Layer, Timer};
use super::{HoldMark, Payload, ServerId, timer};
use crate::clock::Instant;
use crate::flow::{Destination, Flow};
use crate::header::name_addr;
use crate::header::via::Via;
use crate::message::{HeaderAccess, Reply};

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
    /// The transaction's own key, and behind it the merge key.
    keys: Box<[u8]>,
    own_key_ends: u32,
    /// It is found by its merge key; the merge key of a request in a dialog is empty.
    is_merged_with: bool,
    pub(super) generation: u32,
    pub(super) is_invite: bool,
    pub(super) state: State,
    /// Where the response goes.
    pub(super) flow: Flow,
    pub(super) response: Option<(Bytes, HoldMark)>,
    /// How often a refusal has been sent again, which makes the pause (timer G).
    pub(super) repeats: u8,
}

impl ServerTransaction {
    /// What finds it.
    pub(super) fn key(&self) -> &[u8] {
        self.keys.get(..self.own_key_ends as usize).unwrap_or_default()
    }

    /// What finds it for the same request that came another way.
    pub(super) fn merge_key(&self) -> Option<&[u8]> {
        self.keys.get(self.own_key_ends as usize..).filter(|_| self.is_merged_with)
    }
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
        let mut keys = Vec::with_capacity(160);
        push_server_key(request, &via, own_method, &mut keys);
        if let Some(id) = self.find_server(&keys) {
            return self.receive_again(id, method);
        }
        if method == Method::Ack {
            return Received::Acknowledgement;
        }
        if !self.has_room_for_server() {
            return Received::Overloaded;
        }
        let own_key_ends = keys.len();
        let to_tag = request.headers.value("To").and_then(name_addr::tag_of);
        let is_initial = to_tag.is_none() && method != Method::Cancel;
        if is_initial {
            push_merge_key(request, &mut keys);
        }
        let merge_key = keys.get(own_key_ends..).unwrap_or_default();
        let merged = is_initial && self.find_merged(merge_key).is_some();
        let generation = self.next_generation();
        let slot = u32::try_from(self.servers.vacant_key()).unwrap_or(u32::MAX);
        let id = ServerId { slot, generation };
        self.by_key.insert(keys.get(..own_key_ends).unwrap_or_default(), slot);
        let is_merged_with = is_initial && !merged;
        if is_merged_with {
            self.by_merge_key.insert(merge_key, slot);
        } else {
            keys.truncate(own_key_ends);
        }
        self.servers.insert(ServerTransaction {
            keys: keys.into_boxed_slice(),
            own_key_ends: u32::try_from(own_key_ends).unwrap_or(u32::MAX),
            is_merged_with,
            generation,
            is_invite: method == Method::Invite,
            state: State::Proceeding,
            flow: response_flow(flow, &via),
            response: None,
            repeats: 0,
        });
        if method == Method::Cancel {
            let mut key = Vec::with_capacity(96);
            push_server_key(request, &via, "INVITE", &mut key);
            return Received::Cancel { id, invite: self.find_server(&key) };
        }
        Received::New { id, merged }
    }

    fn find_server(&self, key: &[u8]) -> Option<ServerId> {
        let of = |slot: u32| self.servers.get(slot as usize);
        let slot = self.by_key.find(key, |slot| of(slot).is_some_and(|t| t.key() == key))?;
        Some(ServerId { slot, generation: of(slot)?.generation })
    }

    fn find_merged(&self, key: &[u8]) -> Option<u32> {
        let of = |slot: u32| self.servers.get(slot as usize);
        self.by_merge_key.find(key, |slot| of(slot).is_some_and(|t| t.merge_key() == Some(key)))
    }

    /// Sends a response in a transaction. A final one that comes after a final one is not sent,
    /// but for the 2xx of an INVITE that was accepted (RFC 6026 §7.1).
    pub fn respond(&mut self, now: Instant, id: ServerId, response: &Response, after: HoldMark) {
        let (head, ()) = self.responses.write(|out| crate::write::response(response, out));
        let status = response.status_code.code();
        self.respond_with(now, id, status, head, after);
    }

    /// Sends the answer to a request straight from its headers, as [`Self::respond`] does.
    pub fn reply(
        &mut self,
        now: Instant,
        id: ServerId,
        request: &Request,
        reply: &Reply<'_>,
        after: HoldMark,
    ) {
        let (head, ()) = self.responses.write(|out| crate::write::reply(request, reply, out));
        self.respond_with(now, id, reply.status, head, after);
    }

    fn respond_with(
        &mut self,
        now: Instant,
        id: ServerId,
        status: u16,
        response: Bytes,
        after: HoldMark,
    ) {
        let Some(transaction) = self.server_mut(id) else { return };
        let flow = transaction.flow;
        let is_reliable = flow.transport.is_reliable();
        let is_invite = transaction.is_invite;
        match transaction.state {
            State::Proceeding => {}
            State::Accepted if (200..300).contains(&status) => {
                self.transmit_response(flow, response, after);
                return;
            }
            State::Accepted | State::Completed | State::Confirmed => return,
        }
        transaction.response = Some((response.clone(), after));
        let slot = id.slot;
        if matches!(status, 401 | 407)
            && let Some(transaction) = self.servers.get_mut(slot as usize)
            && let Some(key) = transaction.merge_key()
        {
            // Some phones answer a challenge without a new CSeq; that is no request merged from
            // two ways.
            self.by_merge_key.remove(key, slot);
            transaction.is_merged_with = false;
        }
        let Some(transaction) = self.server_mut(id) else { return };
        let next = match (status, is_invite) {
            (..200, _) => State::Proceeding,
            (200..300, true) => State::Accepted,
            _ => State::Completed,
        };
        transaction.state = next;
        self.transmit_response(flow, response, after);
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
        let flow = transaction.flow;
        let again = match transaction.state {
            State::Proceeding | State::Completed => transaction.response.clone(),
            // RFC 6026 §7.1: the accepting side sends its 2xx again by itself.
            State::Accepted | State::Confirmed => None,
        };
        self.tally.retransmissions_in += 1;
        if let Some((response, after)) = again {
            self.tally.retransmissions_out += 1;
            self.transmit_response(flow, response, after);
        }
        Received::Absorbed
    }

    /// Timer G: a refusal that nobody acknowledged goes out again.
    pub(super) fn server_due(&mut self, now: Instant, id: ServerId) {
        let Some(transaction) = self.server_mut(id) else { return };
        if transaction.state != State::Completed {
            return;
        }
        let Some((response, after)) = transaction.response.clone() else { return };
        transaction.repeats = transaction.repeats.saturating_add(1);
        let doubled = timer::ROUND_TRIP * 2_u32.saturating_pow(transaction.repeats.into());
        let (pause, flow) = (doubled.min(timer::LONGEST_PAUSE), transaction.flow);
        self.tally.retransmissions_out += 1;
        self.transmit_response(flow, response, after);
        self.deadlines.insert(now + pause, Timer::Server(id));
    }

    fn transmit_response(&mut self, flow: Flow, response: Bytes, after: HoldMark) {
        let payload = Payload { head: response, body: None };
        self.transmit(Destination::Flow(flow), payload, after, None);
    }
}

/// Where an answer goes whose request has no transaction, with its top Via stamped as
/// [`Layer::receive_request`] would have stamped the request's.
pub fn address_response(headers: &mut Headers, flow: &Flow) -> Destination {
    match headers.value("Via").map(Via::parse) {
        Some(Ok(mut via)) => {
            stamp(headers, &mut via, flow);
            Destination::Flow(response_flow(flow, &via))
        }
        Some(Err(_)) | None => Destination::Flow(*flow),
    }
}

/// Adds `received` and fills in `rport` where they are due.
fn stamp(headers: &mut Headers, via: &mut Via, flow: &Flow) {
    let peer = flow.peer.ip().to_canonical();
    let asks_for_port = matches!(via.rport, Some(None));
    let named = via.address();
    if asks_for_port {
        via.rport = Some(Some(flow.peer.port()));
    }
    if asks_for_port || named != Some(peer) {
        via.received = Some(peer);
        if let Some(top) = headers.iter_mut().find(|header| matches!(header, Header::Via(_))) {
            *top = Header::Via(via.text().into());
        }
    }
}

/// RFC 3261 §18.2.2 and RFC 3581 §4; `maddr` is not followed, it would let anyone aim our answers.
fn response_flow(flow: &Flow, via: &Via) -> Flow {
    if flow.transport.is_reliable() || via.rport.is_some() {
        return *flow;
    }
    let port = via.port.unwrap_or_else(|| flow.transport.default_port());
    Flow { peer: SocketAddr::new(flow.peer.ip(), port), ..*flow }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_finished_transaction_is_compact() {
        // At 64 × T1 there are many of them.
        assert!(size_of::<super::ServerTransaction>() <= 168);
    }
}
