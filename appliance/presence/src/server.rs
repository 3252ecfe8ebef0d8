//! The one pure object of a node: inputs in, effects out; daemon and simulation drive the same.

use std::collections::{BTreeSet, HashMap, VecDeque};

use foldhash::quality::FixedState;
use sip::aor::{Aor, Named};
use sip::clock::{Instant, Now};
use sip::deadlines::Deadlines;
use sip::digest::Algorithm;
use sip::entropy::Entropy;
use sip::flow::{ConnectionId, Flow, Hop, Transport};
use sip::locate::Target;
use sip::message::{HeaderAccess, Message, Reply, Request, Response};
use sip::parse::{self, ParseFailure};
use sip::transaction::layer::{Event, Layer};
use sip::transaction::server::{Received, address_response};
use sip::transaction::{ClientId, HoldMark, Payload, ServerId};
use slab::Slab;

use crate::administration::Undo;
use crate::authentication::Authentication;
use crate::command::{Answer, Command};
use crate::config::{AddressBlock, Config};
use crate::counters::Counters;
use crate::dialog::WaysOut;
use crate::document::guard::Limits as DocumentLimits;
use crate::event_state::Package;
use crate::group::Group;
use crate::node_policy::NodePolicy;
use crate::output::{Output, SaveSequence, Ticket, Transmit};
use crate::record::Change;
use crate::rejection::{ALLOW, Rejection, Terms};
use crate::routing::{BranchId, OwnRoutes, Routing};
use crate::stored_message::Accepting;
use crate::subscription::{RestoredDialogs, Subscription, SubscriptionSlot};
use crate::user::{UserSlot, Users};

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) id: ServerId,
    pub(crate) flow: Flow,
    pub(crate) request: Request,
    pub(crate) own_routes: OwnRoutes,
}

/// Why a request of ours was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To tell a watcher.
    Notify(SubscriptionSlot, u64),
    /// To deliver a stored message.
    Deliver(UserSlot, u64),
    /// To pass a request on.
    Forward(BranchId),
}

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Bindings and publications of a user expire.
    User(UserSlot),
    /// A subscription expires, or is to be told again.
    Subscription(SubscriptionSlot, u64),
    /// A rule of a presentity begins or ends to hold.
    Rules(UserSlot),
    /// A stored message has waited long enough.
    Message(UserSlot, u64),
    /// A device has been without its connection for long enough.
    SignOff(UserSlot, ConnectionId),
    /// The next watchers hear after a restart.
    Resume,
    /// Nothing that was sent before the restart comes any longer.
    Settled,
    /// A forwarded INVITE has rung long enough (timer C).
    Ringing(BranchId),
    /// The answers to a forwarded INVITE are not repeated any longer (timer M).
    Answered(BranchId),
}

/// Who waits for what a ticket brings.
#[derive(Debug)]
pub(crate) enum Pending {
    /// A watcher's name is being located.
    Subscription(SubscriptionSlot, u64),
    /// A forwarded request's next hop is being located.
    Forward(BranchId),
    /// A device that messages wait for is being located.
    Delivery(UserSlot, String),
    /// A message waits for the disk.
    Message(Box<Accepting>),
    /// A command waits for the disk.
    Command(Box<(Ticket, Undo, Answer)>),
}

/// A node's presence service.
#[derive(Debug)]
pub struct Server {
    pub(crate) config: Config,
    pub(crate) document_limits: DocumentLimits,
    parse_limits: parse::Limits,
    pub(crate) entropy: Entropy,
    pub(crate) layer: Layer<Purpose>,
    pub(crate) authentication: Authentication,
    pub(crate) users: Users,
    pub(crate) policy: NodePolicy,
    /// Whose document says what a service is (RFC 4826 §4), by its URI.
    pub(crate) services: HashMap<Aor, (UserSlot, Box<str>), FixedState>,
    /// Makes ids of watchers that tell nothing of their dialogs.
    pub(crate) watcher_ids: FixedState,
    /// Groups of directories, by the URI that their list has.
    pub(crate) groups: HashMap<Aor, Group, FixedState>,
    /// Subscriptions to lists.
    pub(crate) list_subscriptions: BTreeSet<SubscriptionSlot>,
    /// Members of lists who are no users, with those lists.
    pub(crate) missing_members: HashMap<Box<str>, BTreeSet<SubscriptionSlot>, FixedState>,
    pub(crate) subscriptions: Slab<Subscription>,
    pub(crate) routing: Routing,
    /// Octets of the messages that are stored.
    pub(crate) message_octets: usize,
    /// Who registered or published over a connection.
    pub(crate) by_connection: HashMap<ConnectionId, Vec<UserSlot>, FixedState>,
    pub(crate) deadlines: Deadlines<Due>,
    pub(crate) counters: Counters,
    /// Dialogs that came from the store, for as long as a request of before may come again.
    pub(crate) restored_dialogs: RestoredDialogs,
    pub(crate) resuming: VecDeque<(SubscriptionSlot, u64)>,
    /// What the store has reached.
    pub(crate) durable: SaveSequence,
    sequence: SaveSequence,
    changes: Vec<Change>,
    pending: HashMap<Ticket, Pending, FixedState>,
    next_ticket: u64,
    outputs: VecDeque<Output>,
    pub(crate) ways_out: WaysOut,
}

impl Server {
    /// A server without users; `seed` makes its tags and tokens unguessable.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut entropy = Entropy::new(seed, 0);
        let authentication = Authentication::new(&config, &mut entropy);
        let limits = &config.limits;
        Self {
            document_limits: DocumentLimits {
                bytes: limits.document_bytes,
                ..DocumentLimits::default()
            },
            parse_limits: parse::Limits::default(),
            layer: Layer::new(config.listeners.clone(), limits.transactions, Entropy::new(seed, 1)),
            authentication,
            users: Users::new(&config.domain, limits.max_users, entropy.next_u64()),
            policy: NodePolicy::default(),
            services: HashMap::with_hasher(FixedState::with_seed(entropy.next_u64())),
            watcher_ids: FixedState::with_seed(entropy.next_u64()),
            groups: HashMap::with_hasher(FixedState::with_seed(entropy.next_u64())),
            list_subscriptions: BTreeSet::new(),
            missing_members: HashMap::with_hasher(FixedState::with_seed(entropy.next_u64())),
            subscriptions: Slab::new(),
            routing: Routing::new(config.secret),
            message_octets: 0,
            by_connection: HashMap::with_hasher(FixedState::with_seed(entropy.next_u64())),
            deadlines: Deadlines::default(),
            counters: Counters::default(),
            restored_dialogs: RestoredDialogs::new(entropy.next_u64()),
            resuming: VecDeque::new(),
            durable: SaveSequence::default(),
            sequence: SaveSequence::default(),
            changes: Vec::new(),
            pending: HashMap::with_hasher(FixedState::with_seed(entropy.next_u64())),
            next_ticket: 0,
            outputs: VecDeque::new(),
            ways_out: WaysOut::new(entropy.next_u64()),
            entropy,
            config,
        }
    }

    /// Takes one SIP message: a datagram, or a message cut from a stream.
    pub fn handle_message(&mut self, now: Now, flow: Flow, bytes: &[u8]) {
        let is_stream = flow.transport.is_reliable();
        let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
        let bytes = bytes.get(start..).unwrap_or_default();
        if bytes.starts_with(b"SIP/2.0 ") {
            let limits = &self.parse_limits;
            let event = self.layer.receive_response(now.monotonic, bytes, limits, is_stream);
            if let Some(event) = event {
                self.handle_event(now, event);
            }
        } else if !bytes.is_empty() {
            // A WebSocket keeps messages apart, so that Content-Length may be missing (RFC 7118 §5).
            let framing = match flow.transport {
                Transport::Tcp | Transport::Tls => parse::Framing::Stream,
                Transport::Udp | Transport::Ws | Transport::Wss => parse::Framing::Datagram,
            };
            match parse::message(bytes, framing, &self.parse_limits) {
                Ok(Message::Request(request)) => self.handle_request(now, flow, request),
                Ok(Message::Response(_)) | Err(ParseFailure::Drop(_)) => {
                    self.counters.malformed_dropped += 1;
                }
                Err(ParseFailure::Answer(mut response)) => {
                    self.counters.malformed_answered += 1;
                    if response.status_code.code() == 501 {
                        response.headers.append("Allow", ALLOW);
                    }
                    self.answer_statelessly(&flow, *response);
                }
            }
        }
        self.finish(now);
    }

    /// Learns that a connection is gone: requests under way over it have failed, and devices that
    /// were reached over it sign off. Watchers are found unreachable when they are next told.
    pub fn handle_flow_closed(&mut self, now: Now, connection: ConnectionId) {
        self.layer.handle_flow_closed(connection);
        self.sign_off_later(now, connection);
        self.finish(now);
    }

    /// Learns that a message with `on_failure` could not be sent.
    pub fn handle_send_failed(&mut self, now: Now, ticket: Ticket) {
        self.layer.handle_send_failed(ClientId::from_u64(ticket.0));
        self.finish(now);
    }

    /// Takes the answer to [`Output::Locate`], best hop first; empty when nothing was found.
    pub fn handle_located(&mut self, now: Now, ticket: Ticket, hops: Vec<Hop>) {
        match self.pending.remove(&ticket) {
            Some(Pending::Subscription(id, nonce)) => {
                self.subscription_located(now, id, nonce, &hops);
            }
            Some(Pending::Forward(branch)) => self.forward_located(now, branch, hops),
            Some(Pending::Delivery(slot, contact)) => {
                self.delivery_located(now, slot, &contact, &hops);
            }
            Some(other @ (Pending::Command(..) | Pending::Message(..))) => {
                self.pending.insert(ticket, other);
            }
            None => {}
        }
        self.finish(now);
    }

    /// Learns that every batch up to `through` is on disk.
    pub fn handle_durable(&mut self, now: Now, through: SaveSequence) {
        self.durable = self.durable.max(through);
        self.finish(now);
    }

    /// Takes the outcome of [`Output::Commit`].
    pub fn handle_committed(&mut self, now: Now, ticket: Ticket, stored: bool) {
        match self.pending.remove(&ticket) {
            Some(Pending::Command(command)) => {
                let (edge, undo, answer) = *command;
                self.command_committed(now, edge, undo, answer, stored);
            }
            Some(Pending::Message(accepting)) => self.message_committed(now, *accepting, stored),
            _ => {}
        }
        self.finish(now);
    }

    /// Takes a command; its answer comes as [`Output::Answered`] with the same ticket. Edge
    /// tickets and server tickets are separate number spaces.
    pub fn handle_command(&mut self, now: Now, ticket: Ticket, command: Command) {
        self.command(now, ticket, command);
        self.finish(now);
    }

    /// Changes which peers are exempt from digest, and which algorithms the others are offered,
    /// from the next request on.
    pub fn handle_access(&mut self, trusted: Vec<AddressBlock>, digest: Vec<Algorithm>) {
        self.authentication.set_terms(trusted.clone(), digest.clone());
        self.config.trusted = trusted;
        self.config.digest = digest;
    }

    /// Does what has come due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.layer.handle_timeout(now.monotonic);
        while let Some(due) = self.deadlines.pop_due(now.monotonic) {
            match due {
                Due::User(slot) => self.user_due(now, slot),
                Due::Subscription(id, nonce) => self.subscription_due(now, id, nonce),
                Due::Rules(slot) => self.review(now, slot),
                Due::Message(slot, number) => self.message_due(now, slot, number),
                Due::SignOff(slot, connection) => self.sign_off_device(now, slot, connection),
                Due::Resume => self.resume_some(now),
                Due::Settled => self.restored_dialogs.clear(),
                Due::Ringing(branch) => self.rung_too_long(now, branch),
                Due::Answered(branch) => self.forget_answered(branch),
            }
        }
        self.finish(now);
    }

    /// The next effect; drain to `None` after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        // What is to be saved comes before what may only be sent once it is.
        self.outputs.pop_front().or_else(|| {
            let transmit = self.layer.poll_transmit()?;
            Some(Output::Transmit(Transmit {
                destination: transmit.destination,
                payload: transmit.payload,
                after: SaveSequence(transmit.after.0),
                on_failure: transmit.report.map(|id| Ticket(id.to_u64())),
            }))
        })
    }

    /// When to call [`Self::handle_timeout`] next, and for what.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let transactions = self.layer.poll_timeout().map(|at| (at, "transaction"));
        let expiry = self.deadlines.next().map(|at| (at, "expiry"));
        match (transactions, expiry) {
            (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// The counts since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let tally = self.layer.tally();
        Counters {
            retransmissions_in: tally.retransmissions_in,
            retransmissions_out: tally.retransmissions_out,
            stray_responses: tally.stray_responses,
            ..self.counters.clone()
        }
    }

    fn handle_request(&mut self, now: Now, flow: Flow, mut request: Request) {
        self.counters.count_request(sip::message::method(request.method));
        match self.layer.receive_request(&flow, &mut request) {
            Received::Absorbed => {}
            Received::Overloaded => {
                self.counters.overload += 1;
                let pause = std::time::Duration::from_secs(10);
                let response = self.refusal(&request, &Rejection::Overloaded(pause));
                self.answer_statelessly(&flow, response);
            }
            Received::Acknowledgement => {
                let own_routes = self.strip_own_routes(&mut request);
                self.forward_acknowledgement(request, own_routes);
            }
            Received::Cancel { id, invite } => {
                let own_routes = OwnRoutes::default();
                self.cancel(now, &Incoming { id, flow, request, own_routes }, invite);
            }
            Received::New { id, merged } => {
                let own_routes = self.strip_own_routes(&mut request);
                let incoming = Incoming { id, flow, request, own_routes };
                if let Err(rejection) = self.dispatch(now, &incoming, merged) {
                    self.refuse(now, &incoming, &rejection);
                }
            }
        }
    }

    fn handle_event(&mut self, now: Now, event: Event<Purpose>) {
        match event {
            Event::Status { user: Purpose::Notify(id, nonce), status, retry_after } => {
                self.notify_answered(now, id, nonce, status, retry_after);
            }
            Event::TimedOut { user: Purpose::Notify(id, nonce), .. } => {
                self.notify_timed_out(now, id, nonce);
            }
            Event::Unreachable { user: Purpose::Notify(id, nonce), .. } => {
                self.notify_unreachable(now, id, nonce);
            }
            Event::Response { user: Purpose::Deliver(slot, number), response, .. } => {
                self.delivery_answered(now, slot, number, &response);
            }
            Event::TimedOut { user: Purpose::Deliver(slot, number), .. }
            | Event::Unreachable { user: Purpose::Deliver(slot, number), .. } => {
                self.delivery_failed(slot, number);
            }
            Event::Response { user: Purpose::Forward(branch), response, .. } => {
                self.forward_answered(now, branch, *response);
            }
            Event::TimedOut { user: Purpose::Forward(branch), .. } => {
                self.forward_failed(now, branch, 408);
            }
            Event::Unreachable { user: Purpose::Forward(branch), .. } => {
                self.forward_failed(now, branch, 503);
            }
            Event::Status { user: Purpose::Forward(_) | Purpose::Deliver(..), .. }
            | Event::Response { user: Purpose::Notify(..), .. } => {
                debug_assert!(false, "NOTIFYs are sent lean and forwarded requests are not");
            }
        }
    }

    /// Answers a request once what this input changed is on disk.
    pub(crate) fn answer(&mut self, now: Now, incoming: &Incoming, mut response: Response) {
        response.headers.append("Server", &self.config.product);
        self.counters.count_response(response.status_code.code());
        let after = self.after_changes();
        self.layer.respond(now.monotonic, incoming.id, &response, after);
    }

    /// Answers a request with 200 once what this input changed is on disk.
    pub(crate) fn accept(
        &mut self,
        now: Now,
        incoming: &Incoming,
        to_tag: &str,
        headers: &[(&str, &str)],
    ) {
        self.accept_with(now, incoming, 200, to_tag, headers);
    }

    /// Answers a request with this 2xx once what this input changed is on disk.
    pub(crate) fn accept_with(
        &mut self,
        now: Now,
        incoming: &Incoming,
        status: u16,
        to_tag: &str,
        headers: &[(&str, &str)],
    ) {
        let reply = Reply { status, to_tag, headers, server: &self.config.product };
        self.counters.count_response(reply.status);
        let after = self.after_changes();
        self.layer.reply(now.monotonic, incoming.id, &incoming.request, &reply, after);
    }

    fn after_changes(&self) -> HoldMark {
        if self.changes.is_empty() { HoldMark::default() } else { HoldMark(self.sequence.0 + 1) }
    }

    /// Answers a request with a refusal.
    pub(crate) fn refuse(&mut self, now: Now, incoming: &Incoming, rejection: &Rejection) {
        let response = self.refusal(&incoming.request, rejection);
        self.counters.count_response(response.status_code.code());
        self.layer.respond(now.monotonic, incoming.id, &response, HoldMark::default());
    }

    fn refusal(&mut self, request: &Request, rejection: &Rejection) -> Response {
        let tag = self.entropy.token();
        let terms = Terms { min_expires: self.config.limits.min_expires };
        let mut response = rejection.response(request, &tag, terms);
        response.headers.append("Server", &self.config.product);
        response
    }

    fn answer_statelessly(&mut self, flow: &Flow, mut response: Response) {
        let destination = address_response(&mut response.headers, flow);
        let mut bytes = Vec::with_capacity(512);
        sip::write::response(&response, &mut bytes);
        self.counters.count_response(response.status_code.code());
        self.outputs.push_back(Output::Transmit(Transmit {
            destination,
            payload: Payload::whole(&bytes),
            after: SaveSequence::default(),
            on_failure: None,
        }));
    }

    /// The user whose AoR this is, if the machine serves it.
    pub(crate) fn served_user(&self, named: &Named<'_>) -> Option<UserSlot> {
        if !self.is_our_domain(&named.domain) {
            return None;
        }
        let slot = self.users.find(&named.user)?;
        self.users.get(slot).filter(|user| user.is_served).map(|_| slot)
    }

    /// Puts a change into the batch of this input, and tells that batch's number.
    pub(crate) fn save(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> SaveSequence {
        self.changes.push(Change { key, value });
        SaveSequence(self.sequence.0 + 1)
    }

    /// Writes a batch for which a command waits.
    pub(crate) fn commit(&mut self, changes: Vec<Change>, pending: Pending) {
        self.sequence.0 += 1;
        let ticket = self.ticket(pending);
        self.outputs.push_back(Output::Commit { ticket, sequence: self.sequence, changes });
    }

    /// Asks for the next hops of a target.
    pub(crate) fn locate(&mut self, target: Target, pending: Pending) {
        let ticket = self.ticket(pending);
        self.outputs.push_back(Output::Locate { ticket, target });
    }

    fn ticket(&mut self, pending: Pending) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.pending.insert(ticket, pending);
        ticket
    }

    pub(crate) fn push_output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn tell(&mut self, ticket: Ticket, answer: Answer) {
        self.outputs.push_back(Output::Answered { ticket, answer });
    }

    /// Lets a user be looked at when the first of its bindings and publications expires.
    pub(crate) fn arm_user(&mut self, slot: UserSlot, at: Instant) {
        let Some(user) = self.users.get_mut(slot) else { return };
        if user.armed.is_none_or(|armed| armed > at) {
            user.armed = Some(at);
            self.deadlines.insert(at, Due::User(slot));
        }
    }

    fn user_due(&mut self, now: Now, slot: UserSlot) {
        let Some(user) = self.users.get_mut(slot) else { return };
        if user.armed.is_some_and(|armed| armed > now.monotonic) {
            return;
        }
        user.armed = None;
        self.remove_bindings(slot, |binding| binding.expires <= now.monotonic);
        self.remove_publications(slot, |_, p| p.expires <= now.monotonic);
        let packages = self.remove_states(slot, |_, state| state.expires <= now.monotonic);
        self.tell_watchers(now, slot);
        for package in packages.into_iter().chain([Package::Reg]) {
            self.state_changed(now, slot, package);
        }
        let Some(user) = self.users.get(slot) else { return };
        let bindings = user.bindings.iter().map(|binding| binding.expires);
        let publications = user.publications.iter().map(|publication| publication.expires);
        let states = user.event_states.iter().map(|state| state.expires);
        if let Some(next) = bindings.chain(publications).chain(states).min() {
            self.arm_user(slot, next);
        }
    }

    /// Closes an input: what the layer has to say is heard, and what changed makes one batch.
    pub(crate) fn finish(&mut self, now: Now) {
        while let Some(event) = self.layer.poll_event() {
            self.handle_event(now, event);
        }
        if !self.changes.is_empty() {
            self.sequence.0 += 1;
            let changes = std::mem::take(&mut self.changes);
            self.outputs.push_back(Output::Save { sequence: self.sequence, changes });
        }
    }
}
