//! Subscriptions to presence (RFC 6665, RFC 3856): the notifier's side of each dialog.

use std::time::Duration;

use sip::clock::{Instant, Now, WallTime};
use sip::flow::{Destination, Flow, Hop};
use sip::header::contact::Contact;
use sip::header::cseq::CSeq;
use sip::header::name_addr::NameAddr;
use sip::message::{HeaderAccess, Request, response_to};
use sip::slot_token;
use sip::transaction::ClientId;
use sip::uri;

use crate::authentication::{Identity, aor_of};
use crate::command::SubscriptionView;
use crate::notify::Template;
use crate::output::SaveSequence;
use crate::publication::{PRESENCE, accepts_pidf, check_event};
use crate::reach::{self, Reach};
use crate::record::{FlowRecord, SubscriptionRecord, Table, encode};
use crate::rejection::Rejection;
use crate::server::{Due, Incoming, Pending, Server};
use crate::user::UserSlot;

/// Names a subscription; the nonce tells it from a later one in the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SubscriptionSlot(pub(crate) u32);

/// How a subscription ends (RFC 6665 §4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It expired, was ended by the watcher, or was a fetch.
    Timeout,
    /// The presentity is no more.
    NoResource,
    /// The watcher may try again at once.
    Deactivated,
}

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// NOTIFYs flow.
    Active,
    /// The watcher cannot be reached; it gets full state when it refreshes.
    Suspended,
    /// The last NOTIFY is on its way.
    Ending(Reason),
}

/// One subscription: a compact record, with the constant part of its NOTIFYs.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) nonce: u64,
    pub(crate) presentity: UserSlot,
    /// The watcher, when it is a user of this node.
    pub(crate) watcher: Option<UserSlot>,
    /// Where it stands in its presentity's list of watchers.
    pub(crate) position: u32,
    pub(crate) expires: Instant,
    pub(crate) expires_wall: WallTime,
    pub(crate) armed: Instant,
    pub(crate) cseq: u32,
    pub(crate) cseq_reserved: u32,
    pub(crate) remote_cseq: u32,
    pub(crate) template: Template,
    /// `None` until the watcher's name has been located.
    pub(crate) destination: Option<Destination>,
    pub(crate) flow: Flow,
    pub(crate) is_direct: bool,
    pub(crate) state: State,
    pub(crate) in_flight: Option<ClientId>,
    /// Full state is due as soon as a NOTIFY can be sent.
    pub(crate) is_behind: bool,
    /// Kept over a restart; a fetch is not.
    pub(crate) is_stored: bool,
    /// The batch that holds its latest record.
    pub(crate) saved: SaveSequence,
    pub(crate) notifies: u32,
}

/// NOTIFYs whose CSeq is reserved with one write: after a restart the dialog goes on behind them.
pub(crate) const CSEQ_BLOCK: u32 = 1000;

impl Subscription {
    pub(crate) fn record(&self, presentity: &str) -> SubscriptionRecord {
        let template = &self.template;
        SubscriptionRecord {
            nonce: self.nonce,
            presentity: presentity.to_owned(),
            expires_millis: self.expires_wall.as_millis(),
            cseq_reserved: self.cseq_reserved,
            remote_cseq: self.remote_cseq,
            target: template.target().to_owned(),
            routes: template.values("Route").map(str::to_owned).collect(),
            local: template.value("From").to_owned(),
            remote: template.value("To").to_owned(),
            call_id: template.value("Call-ID").to_owned(),
            event: template.value("Event").to_owned(),
            flow: FlowRecord::from(&self.flow),
            is_direct: self.is_direct,
        }
    }

    pub(crate) fn view(
        &self,
        slot: SubscriptionSlot,
        aor: &sip::aor::Aor,
        now: Now,
    ) -> SubscriptionView {
        let watcher = aor_of(Some(self.template.value("To")));
        SubscriptionView {
            index: slot.0,
            watcher: watcher.map_or_else(
                || self.template.value("To").to_owned(),
                |aor| aor.as_str().to_owned(),
            ),
            presentity: aor.clone(),
            state: match self.state {
                State::Active => "active",
                State::Suspended => "suspended",
                State::Ending(_) => "ending",
            },
            expires_in: self.expires.since(now.monotonic),
            destination: match self.destination {
                Some(Destination::Flow(flow)) => flow.to_string(),
                Some(Destination::Hop(hop)) => {
                    format!("{}:{}", hop.transport.uri_token(), hop.address)
                }
                None => String::from("being located"),
            },
            notifies: self.notifies,
            call_id: self.template.value("Call-ID").to_owned(),
            notify_cseq: self.cseq,
            is_notify_due: self.is_behind,
        }
    }
}

/// What the watcher's half of a dialog is known by.
pub(crate) fn dialog_key(call_id: &str, remote: &str) -> String {
    let remote = NameAddr::parse(remote).ok();
    format!("{call_id} {}", remote.as_ref().and_then(NameAddr::tag).unwrap_or_default())
}

/// What a dialog-forming or refreshing SUBSCRIBE tells.
struct Ask {
    target: String,
    routes: Vec<String>,
    reach: Reach,
    expires: Duration,
    cseq: u32,
}

impl Server {
    /// SUBSCRIBE outside a dialog: a new subscription, or a fetch when it expires at once.
    pub(crate) fn subscribe(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        identity: Identity,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        if let Some(tag) = self.repeated(request) {
            return self.refresh(now, incoming, &tag, identity);
        }
        let event = check_event(request)?;
        let watcher = self.watcher(request, identity)?;
        if !accepts_pidf(request) {
            return Err(Rejection::NotAcceptable);
        }
        let ask = self.ask(incoming)?;
        if self.subscriptions.len() >= self.config.limits.subscriptions {
            return Err(Rejection::Overloaded(Duration::from_secs(60)));
        }
        let limit = self.config.limits.subscriptions_per_watcher;
        if let Some(user) = watcher.and_then(|watcher| self.users.get(watcher))
            && user.watching as usize >= limit
        {
            return Err(Rejection::LimitReached("Too Many Subscriptions"));
        }
        let index = u32::try_from(self.subscriptions.vacant_key()).unwrap_or(u32::MAX);
        let nonce = self.entropy.next_u64();
        let tag = slot_token::text(index, nonce);
        let headers = &request.headers;
        let local = format!("{};tag={tag}", headers.value("To").unwrap_or_default());
        let event_value = match &event.id {
            Some(id) => format!("{PRESENCE};id={id}"),
            None => PRESENCE.to_owned(),
        };
        let sent_by = self.layer.sent_by(&Destination::Flow(incoming.flow));
        let template = Template::new(&crate::notify::Parts {
            target: &ask.target,
            transport: incoming.flow.transport,
            sent_by,
            routes: &ask.routes,
            local: &local,
            remote: headers.value("From").unwrap_or_default(),
            call_id: headers.value("Call-ID").unwrap_or_default(),
            event: &event_value,
        });
        let subscription = Subscription {
            nonce,
            presentity: slot,
            watcher,
            position: 0,
            expires: now.monotonic + ask.expires,
            expires_wall: now.wall + ask.expires,
            armed: now.monotonic + ask.expires,
            cseq: 0,
            cseq_reserved: CSEQ_BLOCK,
            remote_cseq: ask.cseq,
            template,
            destination: None,
            flow: incoming.flow,
            is_direct: reach::is_direct(request),
            state: State::Active,
            in_flight: None,
            is_behind: true,
            is_stored: !ask.expires.is_zero(),
            saved: SaveSequence::default(),
            notifies: 0,
        };
        let expires = subscription.expires;
        let id = self.attach(subscription);
        if ask.expires.is_zero() {
            self.set_state(id, State::Ending(Reason::Timeout));
        } else {
            self.store_subscription(id);
            self.deadlines.insert(expires, Due::Subscription(id, nonce));
        }
        self.answer_subscribe(now, incoming, &tag, ask.expires);
        self.direct(now, id, ask.reach);
        Ok(())
    }

    /// SUBSCRIBE inside a dialog: refresh, or end.
    pub(crate) fn refresh(
        &mut self,
        now: Now,
        incoming: &Incoming,
        tag: &str,
        identity: Identity,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        let id = self.find_dialog(request, tag).ok_or(Rejection::UnknownDialog)?;
        let event = check_event(request)?;
        let watcher = self.watcher(request, identity)?;
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else {
            return Err(Rejection::UnknownDialog);
        };
        if watcher != subscription.watcher && !matches!(identity, Identity::Trusted) {
            return Err(Rejection::Forbidden("Not Your Subscription"));
        }
        let known = sip::header::event::Event::parse(subscription.template.value("Event"));
        if known.is_ok_and(|known| known.id != event.id) {
            return Err(Rejection::Forbidden("One Subscription Per Dialog"));
        }
        let remote_cseq = subscription.remote_cseq;
        let ask = self.ask(incoming)?;
        // An equal one repeats what was done before a restart (RFC 3261 §12.2.2 refuses lower ones).
        if ask.cseq < remote_cseq {
            return Err(Rejection::OutOfOrder);
        }
        let sent_by = self.layer.sent_by(&Destination::Flow(incoming.flow));
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else {
            return Err(Rejection::UnknownDialog);
        };
        subscription.remote_cseq = ask.cseq;
        subscription.expires = now.monotonic + ask.expires;
        subscription.expires_wall = now.wall + ask.expires;
        subscription.flow = incoming.flow;
        subscription.is_direct = reach::is_direct(request);
        subscription.state = State::Active;
        subscription.is_behind = true;
        // The route set stays what it was (RFC 3261 §12.2); only the remote target may change.
        subscription.template.retarget(&ask.target, incoming.flow.transport, sent_by);
        let is_routed = subscription.template.values("Route").next().is_some();
        let (expires, nonce) = (subscription.expires, subscription.nonce);
        let rearm = expires < subscription.armed;
        if rearm {
            subscription.armed = expires;
        }
        if ask.expires.is_zero() {
            self.unstore_subscription(id);
            self.set_state(id, State::Ending(Reason::Timeout));
        } else {
            self.store_subscription(id);
            if rearm {
                self.deadlines.insert(expires, Due::Subscription(id, nonce));
            }
        }
        self.answer_subscribe(now, incoming, tag, ask.expires);
        let reach = if is_routed { self.routed_reach(id) } else { ask.reach };
        self.direct(now, id, reach);
        Ok(())
    }

    /// The tag of the dialog that this SUBSCRIBE made before a restart swallowed its answer.
    fn repeated(&self, request: &Request) -> Option<String> {
        if self.restored_dialogs.is_empty() {
            return None;
        }
        let headers = &request.headers;
        let key = dialog_key(headers.value("Call-ID")?, headers.value("From")?);
        let (id, nonce) = self.restored_dialogs.get(&key).copied()?;
        let cseq = CSeq::parse(headers.value("CSeq")?).ok()?;
        let subscription = self.subscriptions.get(id.0 as usize)?;
        (subscription.nonce == nonce && subscription.remote_cseq == cseq.number)
            .then(|| slot_token::text(id.0, nonce))
    }

    fn watcher(
        &self,
        request: &Request,
        identity: Identity,
    ) -> Result<Option<UserSlot>, Rejection> {
        let from = aor_of(request.headers.value("From"));
        let named = from.as_ref().and_then(|aor| self.served_user(aor));
        match identity {
            Identity::Trusted => Ok(named),
            Identity::User(user) if named == Some(user) => Ok(named),
            Identity::User(_) => Err(Rejection::Forbidden("From Is Not You")),
        }
    }

    fn ask(&self, incoming: &Incoming) -> Result<Ask, Rejection> {
        let request = &incoming.request;
        let contact = match Contact::from_values(request.headers.values("Contact")) {
            Ok(Contact::List(mut list)) if list.len() == 1 => {
                list.pop().ok_or(Rejection::Malformed("Contact Missing"))?
            }
            Ok(_) => return Err(Rejection::Malformed("One Contact Needed")),
            Err(_) => return Err(Rejection::Malformed("Bad Contact")),
        };
        let cseq = request
            .headers
            .value("CSeq")
            .and_then(|value| CSeq::parse(value).ok())
            .ok_or(Rejection::Malformed("Bad CSeq"))?;
        let routes: Vec<String> =
            request.headers.values("Record-Route").map(str::to_owned).collect();
        let reach = match routes.first().map(|route| NameAddr::parse(route)) {
            Some(Ok(route)) => reach::away_from_flow(&route.uri, Some(&incoming.flow)),
            Some(Err(_)) => return Err(Rejection::Malformed("Bad Record-Route")),
            None => reach::towards(&contact.uri, &incoming.flow, reach::is_direct(request)),
        };
        if matches!(reach, Reach::Nowhere) {
            return Err(Rejection::Malformed("Contact Is No SIP URI"));
        }
        Ok(Ask {
            target: uri::to_string(&contact.uri),
            routes,
            reach,
            expires: self.granted_expires(request)?,
            cseq: cseq.number,
        })
    }

    fn routed_reach(&self, id: SubscriptionSlot) -> Reach {
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else {
            return Reach::Nowhere;
        };
        match subscription.template.values("Route").next().map(NameAddr::parse) {
            Some(Ok(route)) => reach::away_from_flow(&route.uri, Some(&subscription.flow)),
            _ => Reach::Nowhere,
        }
    }

    /// The subscription whose dialog a request is in (RFC 3261 §12).
    fn find_dialog(&self, request: &Request, tag: &str) -> Option<SubscriptionSlot> {
        let (slot, nonce) = slot_token::parse(tag)?;
        let subscription = self.subscriptions.get(slot as usize)?;
        let from = NameAddr::parse(request.headers.value("From")?).ok()?;
        let remote = NameAddr::parse(subscription.template.value("To")).ok()?;
        let is_same = subscription.nonce == nonce
            && !matches!(subscription.state, State::Ending(_))
            && request.headers.value("Call-ID") == Some(subscription.template.value("Call-ID"))
            && from.tag() == remote.tag();
        is_same.then_some(SubscriptionSlot(slot))
    }

    fn answer_subscribe(&mut self, now: Now, incoming: &Incoming, tag: &str, expires: Duration) {
        let request = &incoming.request;
        let mut response = response_to(request, 200, None, Some(tag));
        for route in request.headers.values("Record-Route") {
            response.headers.append("Record-Route", route);
        }
        let sent_by = self.layer.sent_by(&Destination::Flow(incoming.flow));
        response
            .headers
            .append("Contact", &crate::notify::contact(incoming.flow.transport, sent_by));
        response.headers.append("Expires", &expires.as_secs().to_string());
        self.answer(now, incoming, response);
    }

    /// Sends the NOTIFY that every SUBSCRIBE brings about, as soon as it is known where to.
    fn direct(&mut self, now: Now, id: SubscriptionSlot, reach: Reach) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        match reach {
            Reach::At(destination) => {
                subscription.destination = Some(destination);
                self.notify_now(now, id);
            }
            Reach::Named(target) => {
                subscription.destination = None;
                let nonce = subscription.nonce;
                self.locate(target, Pending::Subscription(id, nonce));
            }
            Reach::Nowhere => subscription.state = State::Suspended,
        }
    }

    /// The watcher's name has been located, or not.
    pub(crate) fn subscription_located(
        &mut self,
        now: Now,
        id: SubscriptionSlot,
        nonce: u64,
        hops: &[Hop],
    ) {
        let Some(subscription) =
            self.subscriptions.get_mut(id.0 as usize).filter(|s| s.nonce == nonce)
        else {
            return;
        };
        match hops.first() {
            Some(hop) => {
                let destination = reach::at_hop(*hop, Some(&subscription.flow));
                subscription.destination = Some(destination);
                self.notify_now(now, id);
            }
            None => self.undeliverable(id),
        }
    }

    /// Adds a subscription to its presentity's watchers.
    fn attach(&mut self, mut subscription: Subscription) -> SubscriptionSlot {
        let (presentity, watcher) = (subscription.presentity, subscription.watcher);
        let position = self.users.get(presentity).map_or(0, |user| user.watchers.len());
        subscription.position = u32::try_from(position).unwrap_or(u32::MAX);
        let index = self.subscriptions.insert(subscription);
        let id = SubscriptionSlot(u32::try_from(index).unwrap_or(u32::MAX));
        if let Some(user) = self.users.get_mut(presentity) {
            user.watchers.push(id);
        }
        if let Some(user) = watcher.and_then(|watcher| self.users.get_mut(watcher)) {
            user.watching += 1;
        }
        id
    }

    /// Forgets a subscription, in memory and on disk.
    pub(crate) fn detach(&mut self, id: SubscriptionSlot) {
        self.unstore_subscription(id);
        let Some(subscription) = self.subscriptions.try_remove(id.0 as usize) else { return };
        if let Some(client) = subscription.in_flight {
            self.layer.abandon(client);
        }
        if let Some(user) = subscription.watcher.and_then(|w| self.users.get_mut(w)) {
            user.watching = user.watching.saturating_sub(1);
        }
        let Some(user) = self.users.get_mut(subscription.presentity) else { return };
        let position = subscription.position as usize;
        if user.watchers.get(position) == Some(&id) {
            user.watchers.swap_remove(position);
        }
        if let Some(moved) = user.watchers.get(position).copied()
            && let Some(moved) = self.subscriptions.get_mut(moved.0 as usize)
        {
            moved.position = subscription.position;
        }
    }

    pub(crate) fn set_state(&mut self, id: SubscriptionSlot, state: State) {
        if let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) {
            subscription.state = state;
        }
    }

    /// Writes the record of a subscription behind.
    pub(crate) fn store_subscription(&mut self, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else { return };
        let Some(user) = self.users.get(subscription.presentity) else { return };
        if !subscription.is_stored {
            return;
        }
        let value = encode(&subscription.record(&user.id));
        let saved = self.save(Table::Subscription.key(&[&id.0.to_be_bytes()]), Some(value));
        if let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) {
            subscription.saved = saved;
        }
    }

    fn unstore_subscription(&mut self, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        if std::mem::take(&mut subscription.is_stored) {
            let saved = self.save(Table::Subscription.key(&[&id.0.to_be_bytes()]), None);
            if let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) {
                subscription.saved = saved;
            }
        }
    }

    /// A deadline of a subscription has come; it may have moved since.
    pub(crate) fn subscription_due(&mut self, now: Now, id: SubscriptionSlot, nonce: u64) {
        let Some(subscription) =
            self.subscriptions.get_mut(id.0 as usize).filter(|s| s.nonce == nonce)
        else {
            return;
        };
        if matches!(subscription.state, State::Ending(_)) {
            // There was no room for its last NOTIFY when it was due.
            if subscription.in_flight.is_none() && subscription.destination.is_some() {
                self.notify_now(now, id);
            }
            return;
        }
        if subscription.expires > now.monotonic {
            let expires = subscription.expires;
            if subscription.armed <= now.monotonic {
                subscription.armed = expires;
                self.deadlines.insert(expires, Due::Subscription(id, nonce));
            }
            if self.subscriptions.get(id.0 as usize).is_some_and(|s| s.is_behind) {
                self.notify_change(now, id);
            }
            return;
        }
        self.end(now, id, Reason::Timeout);
    }

    /// Ends a subscription with a last NOTIFY.
    pub(crate) fn end(&mut self, now: Now, id: SubscriptionSlot, reason: Reason) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        if matches!(subscription.state, State::Ending(_)) {
            return;
        }
        let is_reachable =
            subscription.state == State::Active && subscription.destination.is_some();
        subscription.state = State::Ending(reason);
        if is_reachable {
            self.unstore_subscription(id);
            self.notify_now(now, id);
        } else {
            self.detach(id);
        }
    }

    /// Takes a subscription up that the store kept. Its watcher gets full state in due course.
    pub(crate) fn restore_subscription(
        &self,
        now: Now,
        record: SubscriptionRecord,
    ) -> Option<Subscription> {
        let presentity = self.users.find(&record.presentity)?;
        let flow = record.flow.flow()?;
        let expires_wall = WallTime::from_millis(record.expires_millis);
        let sent_by = self.layer.sent_by(&Destination::Flow(flow));
        let template = Template::new(&crate::notify::Parts {
            target: &record.target,
            transport: flow.transport,
            sent_by,
            routes: &record.routes,
            local: &record.local,
            remote: &record.remote,
            call_id: &record.call_id,
            event: &record.event,
        });
        let expires = now.monotonic + expires_wall.since(now.wall);
        let watcher = aor_of(Some(&record.remote)).and_then(|aor| self.served_user(&aor));
        Some(Subscription {
            nonce: record.nonce,
            presentity,
            watcher,
            position: 0,
            expires,
            expires_wall,
            armed: expires,
            cseq: record.cseq_reserved,
            cseq_reserved: record.cseq_reserved,
            remote_cseq: record.remote_cseq,
            template,
            destination: None,
            flow,
            is_direct: record.is_direct,
            state: State::Active,
            in_flight: None,
            is_behind: true,
            is_stored: true,
            saved: SaveSequence::default(),
            notifies: 0,
        })
    }

    /// Finds out anew how to reach a restored watcher, and tells it the full state.
    pub(crate) fn resume(&mut self, now: Now, id: SubscriptionSlot, nonce: u64) {
        let Some(subscription) =
            self.subscriptions.get(id.0 as usize).filter(|s| s.nonce == nonce && s.is_behind)
        else {
            return;
        };
        let reach = if subscription.template.values("Route").next().is_some() {
            self.routed_reach(id)
        } else if let Ok(target) = uri::parse(subscription.template.target()) {
            // A connection did not outlive the process: only a datagram flow still leads back.
            if subscription.flow.transport.is_reliable() {
                reach::away_from_flow(&target, None)
            } else {
                reach::towards(&target, &subscription.flow, subscription.is_direct)
            }
        } else {
            Reach::Nowhere
        };
        self.direct(now, id, reach);
    }
}
