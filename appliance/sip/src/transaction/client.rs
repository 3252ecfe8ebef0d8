//! One client transaction (RFC 3261 §17.1, RFC 6026 §7.2).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rsip::{Headers, Method, Request, Response};

use super::key::MAGIC_COOKIE;
use super::layer::{Event, Layer, Timer};
use super::{ClientId, HoldMark, Payload, timer};
use crate::clock::Instant;
use crate::flow::{ConnectionId, Destination, Transport};
use crate::header::cseq::CSeq;
use crate::header::via::Via;
use crate::message::{HeaderAccess, Message};
use crate::slot_token::{self, Digits};
use crate::{parse, scan};

/// What is sent, which decides the timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An INVITE.
    Invite,
    /// A CANCEL of the INVITE named; it shares that one's branch.
    Cancel(ClientId),
    /// Any other request but ACK, whose responses are wanted whole.
    Other,
    /// Any other request but ACK, of whose answer only the status is wanted.
    Lean,
}

/// Where a client transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No response yet.
    Calling,
    /// A provisional response has come.
    Proceeding,
    /// An INVITE was refused; our ACK may be asked for again.
    Completed,
    /// An INVITE was accepted; further 2xx come from other branches (RFC 6026 §7.2).
    Accepted,
}

/// A request that we sent.
#[derive(Debug)]
pub struct ClientTransaction<U> {
    pub(super) generation: u32,
    pub(super) nonce: u64,
    pub(super) user: U,
    pub(super) kind: Kind,
    pub(super) state: State,
    pub(super) destination: Destination,
    pub(super) payload: Payload,
    pub(super) after: HoldMark,
    /// The pause before the next retransmission (timers A and E).
    pub(super) pause: Duration,
    /// When it is sent again if nothing comes.
    pub(super) resend_at: Option<Instant>,
    /// When it is given up (timers B and F) or forgotten (D and M).
    pub(super) ends: Option<Instant>,
    /// When it will be looked at.
    pub(super) armed: Option<Instant>,
    /// The CANCEL under way for this INVITE.
    pub(super) cancel: Option<ClientId>,
    /// A CANCEL is to follow the first provisional response (RFC 3261 §9.1).
    pub(super) cancel_wanted: bool,
    /// The ACK of a refusal, to be repeated.
    pub(super) acknowledgement: Option<Box<Payload>>,
}

impl<U: Clone> Layer<U> {
    /// Sends a request that has no Via of ours yet; its responses come back as
    /// [`Event::Response`]. `None` when there is no room for another transaction.
    pub fn send(
        &mut self,
        now: Instant,
        destination: Destination,
        mut request: Request,
        user: U,
        after: HoldMark,
    ) -> Option<ClientId> {
        let kind = if request.method == Method::Invite { Kind::Invite } else { Kind::Other };
        let sent_by = self.sent_by(&destination);
        self.start(now, destination, kind, user, after, |digits, out| {
            request.headers.prepend("Via", &via_value(destination.transport(), sent_by, digits));
            crate::write::request(&request, out);
            None
        })
    }

    /// Sends a request whose head `write` writes around the digits of its branch and whose body it
    /// returns; only the final status comes back, as [`Event::Status`]. Nothing of the answer but
    /// that is looked at.
    pub fn send_lean(
        &mut self,
        now: Instant,
        destination: Destination,
        user: U,
        after: HoldMark,
        write: impl FnOnce(&Digits, &mut BytesMut) -> Option<Arc<[u8]>>,
    ) -> Option<ClientId> {
        self.start(now, destination, Kind::Lean, user, after, write)
    }

    /// Cancels an INVITE, at once or when its first provisional response has come
    /// (RFC 3261 §9.1). Its final response still comes as an event.
    pub fn cancel(&mut self, now: Instant, id: ClientId) {
        let Some(transaction) = self.client_mut(id) else { return };
        if transaction.kind != Kind::Invite || transaction.cancel.is_some() {
            return;
        }
        match transaction.state {
            State::Calling => transaction.cancel_wanted = true,
            State::Proceeding => self.start_cancel(now, id),
            State::Completed | State::Accepted => {}
        }
    }

    /// Takes a response. `None` when it belongs to nothing or repeats what is known.
    pub fn receive_response(
        &mut self,
        now: Instant,
        bytes: &[u8],
        limits: &parse::Limits,
        is_stream: bool,
    ) -> Option<Event<U>> {
        // No two of our requests share a branch but an INVITE and its CANCEL, so the branch alone
        // tells a lean one.
        let scanned = scan::response(bytes).and_then(|s| Some((s.status, digits_of(s.branch)?)));
        if let Some((status, (slot, nonce))) = scanned {
            match self.clients.get(slot as usize).filter(|t| t.nonce == nonce) {
                None => {
                    self.tally.stray_responses += 1;
                    return None;
                }
                Some(transaction) if transaction.kind == Kind::Lean => {
                    let id = ClientId { slot, generation: transaction.generation };
                    return self.receive_lean(id, status, bytes);
                }
                Some(_) => {}
            }
        }
        let framing = if is_stream { parse::Framing::Stream } else { parse::Framing::Datagram };
        let found = match parse::message(bytes, framing, limits) {
            Ok(Message::Response(response)) => self.find_client(&response).map(|id| (id, response)),
            _ => None,
        };
        let Some((id, response)) = found else {
            self.tally.stray_responses += 1;
            return None;
        };
        let status = response.status_code.code();
        if self.client_mut(id)?.kind == Kind::Lean {
            return self.receive_lean(id, status, bytes);
        }
        self.receive_full(now, id, status, response)
    }

    /// Learns that a request could not be sent; the transaction is over.
    pub fn handle_send_failed(&mut self, id: ClientId) {
        if let Some(transaction) = self.remove_client(id)
            && !matches!(transaction.kind, Kind::Cancel(_))
        {
            self.events.push_back(Event::Unreachable { id, user: transaction.user });
        }
    }

    /// Learns that a connection is gone: what still waits for an answer over it gets none
    /// (RFC 3261 §17.1.4).
    pub fn handle_flow_closed(&mut self, connection: ConnectionId) {
        let is_cut_off = |transaction: &ClientTransaction<U>| {
            matches!(transaction.state, State::Calling | State::Proceeding)
                && matches!(transaction.destination, Destination::Flow(flow)
                    if flow.transport.is_reliable() && flow.connection == connection)
        };
        let cut_off: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, transaction)| is_cut_off(transaction))
            .filter_map(|(slot, transaction)| {
                let slot = u32::try_from(slot).ok()?;
                Some(ClientId { slot, generation: transaction.generation })
            })
            .collect();
        for id in cut_off {
            self.handle_send_failed(id);
        }
    }

    /// Forgets a client transaction: nobody waits for its answer any longer.
    pub fn abandon(&mut self, id: ClientId) {
        self.remove_client(id);
    }

    fn start(
        &mut self,
        now: Instant,
        destination: Destination,
        kind: Kind,
        user: U,
        after: HoldMark,
        write: impl FnOnce(&Digits, &mut BytesMut) -> Option<Arc<[u8]>>,
    ) -> Option<ClientId> {
        if self.clients.len() >= self.limit {
            return None;
        }
        let generation = self.next_generation();
        let nonce = self.entropy.next_u64();
        let slot = u32::try_from(self.clients.vacant_key()).ok()?;
        let digits = slot_token::digits(slot, nonce);
        let (head, body) = self.requests.write(|out| write(&digits, out));
        let payload = Payload { head, body };
        Some(self.insert(
            now,
            ClientTransaction {
                generation,
                nonce,
                user,
                kind,
                state: State::Calling,
                destination,
                payload,
                after,
                pause: timer::ROUND_TRIP,
                resend_at:
                    (!destination.transport().is_reliable()).then(|| now + timer::ROUND_TRIP),
                ends: Some(now + timer::GIVE_UP),
                armed: None,
                cancel: None,
                cancel_wanted: false,
                acknowledgement: None,
            },
        ))
    }

    fn insert(&mut self, now: Instant, transaction: ClientTransaction<U>) -> ClientId {
        let generation = transaction.generation;
        let slot = u32::try_from(self.clients.vacant_key()).unwrap_or(u32::MAX);
        let id = ClientId { slot, generation };
        let (destination, payload) = (transaction.destination, transaction.payload.clone());
        let after = transaction.after;
        self.clients.insert(transaction);
        self.transmit(destination, payload, after, Some(id));
        self.arm_client(now, id);
        id
    }

    fn start_cancel(&mut self, now: Instant, invite: ClientId) {
        let Some(transaction) = self.client_mut(invite) else { return };
        transaction.cancel_wanted = false;
        let Some(payload) = derived(&transaction.payload, Method::Cancel, None) else { return };
        let cancel = ClientTransaction {
            generation: 0,
            nonce: transaction.nonce,
            user: transaction.user.clone(),
            kind: Kind::Cancel(invite),
            state: State::Calling,
            destination: transaction.destination,
            payload,
            after: transaction.after,
            pause: timer::ROUND_TRIP,
            resend_at: (!transaction.destination.transport().is_reliable())
                .then(|| now + timer::ROUND_TRIP),
            // Without a final response to the INVITE by then, it counts as cancelled (§9.1).
            ends: Some(now + timer::GIVE_UP),
            armed: None,
            cancel: None,
            cancel_wanted: false,
            acknowledgement: None,
        };
        let generation = self.next_generation();
        let id = self.insert(now, ClientTransaction { generation, ..cancel });
        if let Some(transaction) = self.client_mut(invite) {
            transaction.cancel = Some(id);
        }
    }

    fn receive_lean(&mut self, id: ClientId, status: u16, bytes: &[u8]) -> Option<Event<U>> {
        if status < 200 {
            let transaction = self.client_mut(id)?;
            transaction.state = State::Proceeding;
            transaction.pause = timer::LONGEST_PAUSE;
            return None;
        }
        let transaction = self.remove_client(id)?;
        let retry_after = if status < 300 { None } else { scan::retry_after(bytes) };
        Some(Event::Status { user: transaction.user, status, retry_after })
    }

    fn receive_full(
        &mut self,
        now: Instant,
        id: ClientId,
        status: u16,
        response: Response,
    ) -> Option<Event<U>> {
        let transaction = self.client_mut(id)?;
        let user = transaction.user.clone();
        let event = |response| Event::Response { id, user, response: Box::new(response) };
        match (transaction.kind, transaction.state) {
            (Kind::Cancel(invite), _) => {
                if status >= 200 {
                    self.remove_client(id);
                    if let Some(invite) = self.client_mut(invite) {
                        invite.cancel = None;
                        invite.ends = Some(now + timer::GIVE_UP);
                    }
                    self.arm_client(now, invite);
                }
                None
            }
            (Kind::Other | Kind::Lean, _) if status >= 200 => {
                // Timer K would only absorb repeated responses; a stray one is dropped anyway.
                self.remove_client(id);
                Some(event(response))
            }
            (Kind::Other | Kind::Lean, _) => {
                transaction.state = State::Proceeding;
                transaction.pause = timer::LONGEST_PAUSE;
                Some(event(response))
            }
            (Kind::Invite, State::Calling | State::Proceeding) if status < 200 => {
                transaction.state = State::Proceeding;
                transaction.resend_at = None;
                transaction.ends = None;
                if transaction.cancel_wanted {
                    self.start_cancel(now, id);
                }
                Some(event(response))
            }
            (Kind::Invite, State::Calling | State::Proceeding) if status < 300 => {
                transaction.state = State::Accepted;
                transaction.resend_at = None;
                transaction.ends = Some(now + timer::GIVE_UP);
                self.arm_client(now, id);
                Some(event(response))
            }
            (Kind::Invite, State::Calling | State::Proceeding) => {
                transaction.state = State::Completed;
                transaction.resend_at = None;
                transaction.ends = Some(now + timer::ABSORB_FINAL_RESPONSES);
                let to = response.headers.value("To");
                let acknowledgement = derived(&transaction.payload, Method::Ack, to);
                transaction.acknowledgement = acknowledgement.map(Box::new);
                let destination = transaction.destination;
                if let Some(ack) = transaction.acknowledgement.clone() {
                    self.transmit(destination, *ack, HoldMark::default(), None);
                }
                self.arm_client(now, id);
                Some(event(response))
            }
            (Kind::Invite, State::Completed) => {
                let destination = transaction.destination;
                if status >= 300
                    && let Some(ack) = transaction.acknowledgement.clone()
                {
                    self.tally.retransmissions_out += 1;
                    self.transmit(destination, *ack, HoldMark::default(), None);
                }
                None
            }
            (Kind::Invite, State::Accepted) => {
                (200..300).contains(&status).then(|| event(response))
            }
        }
    }

    /// Timers A, B, D, E, F and M.
    pub(super) fn client_due(&mut self, now: Instant, id: ClientId) {
        let Some(transaction) = self.client_mut(id) else { return };
        if transaction.armed.is_some_and(|at| at > now) {
            return;
        }
        transaction.armed = None;
        if transaction.ends.is_some_and(|at| at <= now) {
            let was = transaction.state;
            let Some(transaction) = self.remove_client(id) else { return };
            if let Kind::Cancel(invite) = transaction.kind {
                // RFC 3261 §9.1: no final response by now, so the INVITE counts as cancelled.
                if let Some(invite) = self.client_mut(invite) {
                    invite.cancel = None;
                    invite.ends = Some(now);
                }
                self.arm_client(now, invite);
            } else if matches!(was, State::Calling | State::Proceeding) {
                self.events.push_back(Event::TimedOut { id, user: transaction.user });
            }
            return;
        }
        if transaction.resend_at.is_some_and(|at| at <= now) {
            let doubled = transaction.pause * 2;
            transaction.pause = match transaction.kind {
                Kind::Invite => doubled,
                Kind::Cancel(_) | Kind::Lean | Kind::Other => doubled.min(timer::LONGEST_PAUSE),
            };
            transaction.resend_at = Some(now + transaction.pause);
            let (destination, after) = (transaction.destination, transaction.after);
            let payload = transaction.payload.clone();
            self.tally.retransmissions_out += 1;
            self.transmit(destination, payload, after, Some(id));
        }
        self.arm_client(now, id);
    }

    fn arm_client(&mut self, now: Instant, id: ClientId) {
        let Some(transaction) = self.client_mut(id) else { return };
        let next = match (transaction.resend_at, transaction.ends) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let Some(at) = next else { return };
        if transaction.armed.is_none_or(|armed| armed > at || armed <= now) {
            transaction.armed = Some(at);
            self.deadlines.insert(at, Timer::Client(id));
        }
    }

    /// The transaction whose branch and method a response names (RFC 3261 §17.1.3).
    fn find_client(&self, response: &Response) -> Option<ClientId> {
        let via = Via::parse(response.headers.value("Via")?).ok()?;
        let cseq = CSeq::parse(response.headers.value("CSeq")?).ok()?;
        let (slot, nonce) = digits_of(via.branch.as_deref()?.as_bytes())?;
        let transaction = self.clients.get(slot as usize).filter(|t| t.nonce == nonce)?;
        if cseq.method == "CANCEL" {
            return transaction.cancel;
        }
        (!matches!(transaction.kind, Kind::Cancel(_)))
            .then_some(ClientId { slot, generation: transaction.generation })
    }

    fn client_mut(&mut self, id: ClientId) -> Option<&mut ClientTransaction<U>> {
        self.clients.get_mut(id.slot as usize).filter(|t| t.generation == id.generation)
    }

    fn remove_client(&mut self, id: ClientId) -> Option<ClientTransaction<U>> {
        self.client_mut(id)?;
        Some(self.clients.remove(id.slot as usize))
    }
}

/// A Via header value of ours.
#[must_use]
pub fn via_value(transport: Transport, sent_by: SocketAddr, digits: &Digits) -> String {
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    format!("SIP/2.0/{} {sent_by};branch={MAGIC_COOKIE}{digits}", transport.via_token())
}

/// The ACK of a refusal (RFC 3261 §17.1.1.3) or the CANCEL (§9.1) of the INVITE in `payload`.
fn derived(payload: &Payload, method: Method, to: Option<&str>) -> Option<Payload> {
    let limits = parse::Limits { message_bytes: usize::MAX, ..parse::Limits::default() };
    let bytes = payload.to_bytes();
    let Ok(Message::Request(invite)) = parse::message(&bytes, parse::Framing::Stream, &limits)
    else {
        return None;
    };
    let mut headers = Headers::default();
    headers.append("Via", invite.headers.value("Via")?);
    for route in invite.headers.values("Route") {
        headers.append("Route", route);
    }
    headers.append("Max-Forwards", "70");
    headers.append("From", invite.headers.value("From")?);
    headers.append("To", to.or_else(|| invite.headers.value("To"))?);
    headers.append("Call-ID", invite.headers.value("Call-ID")?);
    let cseq = CSeq::parse(invite.headers.value("CSeq")?).ok()?;
    headers.append("CSeq", &format!("{} {}", cseq.number, crate::message::method(method)));
    let request =
        Request { method, uri: invite.uri, version: invite.version, headers, body: Vec::new() };
    let mut bytes = Vec::with_capacity(512);
    crate::write::request(&request, &mut bytes);
    Some(Payload::whole(&bytes))
}

fn digits_of(branch: &[u8]) -> Option<(u32, u64)> {
    let (cookie, digits) = branch.split_at_checked(MAGIC_COOKIE.len())?;
    cookie.eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes()).then(|| slot_token::parse(digits))?
}
