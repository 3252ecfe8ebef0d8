//! SUBSCRIBE: what begins, refreshes and ends a subscription (RFC 6665 §4.2.1).

use std::time::Duration;

use sip::clock::Now;
use sip::flow::{Destination, Hop};
use sip::header::contact::Contact;
use sip::header::cseq::CSeq;
use sip::header::event::Event;
use sip::header::name_addr::{self, NameAddr};
use sip::message::{HeaderAccess, Request};
use sip::slot_token;
use sip::uri;

use super::{Beginning, CSEQ_BLOCK, Kind, Reason, State, Subscription, SubscriptionSlot, Way};
use crate::authentication::{Identity, aor_of};
use crate::authorization::{Standing, View};
use crate::conditional::Suppress;
use crate::dialog::{self, Dialog};
use crate::event_state::Package;
use crate::output::SaveSequence;
use crate::publication::{accepts_pidf, check_event, event_of};
use crate::reach::{self, Reach};
use crate::rejection::Rejection;
use crate::resource_list::EVENTLIST;
use crate::server::{Due, Incoming, Pending, Server};
use crate::user::UserSlot;
use crate::watcher_info::WINFO;

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
        if event_of(request)?.package == WINFO {
            return self.subscribe_winfo(now, incoming, slot, identity);
        }
        if let Some(package) = Package::of(&event_of(request)?.package) {
            return self.subscribe_state(now, incoming, slot, identity, package);
        }
        let event = check_event(request)?;
        let watcher = self.watcher(request, identity)?;
        if !accepts_pidf(request) {
            return Err(Rejection::NotAcceptable);
        }
        let from = aor_of(request.headers.value("From")).map(|named| named.aor());
        let (view, is_pending) = match self.standing(now, slot, from.as_ref()) {
            Standing::Rejected => return Err(Rejection::Forbidden("Subscription Not Allowed")),
            Standing::Pending => (View::UNAVAILABLE, true),
            Standing::Active(view) => (view, false),
        };
        let beginning = Beginning { presentity: slot, kind: Kind::Presence, view, is_pending };
        self.begin(now, incoming, &event, watcher, beginning)
    }

    /// Begins a subscription that nothing speaks against but how many there are.
    pub(crate) fn begin(
        &mut self,
        now: Now,
        incoming: &Incoming,
        event: &Event,
        watcher: Option<UserSlot>,
        beginning: Beginning,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        let ask = self.ask(incoming)?;
        let Beginning { presentity, kind, view, is_pending } = beginning;
        let is_list = matches!(kind, Kind::List(_));
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
        let sent_by = self.layer.sent_by(&Destination::Flow(incoming.flow));
        let parts = dialog::Parts {
            target: &ask.target,
            local: headers.value("To").unwrap_or_default(),
            remote: headers.value("From").unwrap_or_default(),
            call_id: headers.value("Call-ID").unwrap_or_default(),
            event_id: event.id.as_deref(),
            routes: &ask.routes,
        };
        let sent_by = self.ways_out.sent_by(incoming.flow.transport, sent_by);
        let dialog = Dialog::new(&parts, sent_by).ok_or(Rejection::Malformed("Dialog Too Long"))?;
        let subscription = Subscription {
            nonce,
            presentity,
            kind,
            watcher,
            position: 0,
            expires: now.monotonic + ask.expires,
            armed: now.monotonic + ask.expires,
            cseq: 0,
            cseq_reserved: CSEQ_BLOCK,
            remote_cseq: ask.cseq,
            dialog,
            way: Way::Unknown,
            flow: incoming.flow,
            is_direct: reach::is_direct(request),
            state: State::Active,
            view,
            is_pending,
            was_pending: false,
            suppress: Suppress::of(request),
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
            self.store_subscription(now, id);
            self.deadlines.insert(expires, Due::Subscription(id, nonce));
            self.tell_of_beginning(now, id);
        }
        self.answer_subscribe(now, incoming, &tag, ask.expires, is_list);
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
        let event = event_of(request)?;
        let watcher = self.watcher(request, identity)?;
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else {
            return Err(Rejection::UnknownDialog);
        };
        if watcher != subscription.watcher && !matches!(identity, Identity::Trusted) {
            return Err(Rejection::Forbidden("Not Your Subscription"));
        }
        if subscription.kind.package() != event.package {
            return Err(Rejection::UnknownEventPackage);
        }
        if subscription.dialog.event_id() != event.id.as_deref() {
            return Err(Rejection::Forbidden("One Subscription Per Dialog"));
        }
        let remote_cseq = subscription.remote_cseq;
        let ask = self.ask(incoming)?;
        // An equal one repeats what was done before a restart (RFC 3261 §12.2.2 refuses lower ones).
        if ask.cseq < remote_cseq {
            return Err(Rejection::OutOfOrder);
        }
        let sent_by = self.layer.sent_by(&Destination::Flow(incoming.flow));
        let sent_by = self.ways_out.sent_by(incoming.flow.transport, sent_by);
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else {
            return Err(Rejection::UnknownDialog);
        };
        // The route set stays what it was (RFC 3261 §12.2); only the remote target may change.
        if !subscription.dialog.retarget(&ask.target, sent_by) {
            return Err(Rejection::Malformed("Dialog Too Long"));
        }
        subscription.remote_cseq = ask.cseq;
        subscription.expires = now.monotonic + ask.expires;
        subscription.set_flow(incoming.flow);
        subscription.is_direct = reach::is_direct(request);
        subscription.state = State::Active;
        subscription.is_behind = true;
        subscription.suppress = Suppress::of(request);
        subscription.owe_everything();
        let is_routed = subscription.dialog.routes().next().is_some();
        let (expires, nonce) = (subscription.expires, subscription.nonce);
        let rearm = expires < subscription.armed;
        if rearm {
            subscription.armed = expires;
        }
        if ask.expires.is_zero() {
            self.tell_of_end(now, id, Reason::Timeout.token());
            self.unstore_subscription(id);
            self.set_state(id, State::Ending(Reason::Timeout));
        } else {
            self.store_subscription(now, id);
            if rearm {
                self.deadlines.insert(expires, Due::Subscription(id, nonce));
            }
        }
        let is_list = self.refresh_list(now, incoming, id);
        let reach = if is_routed { self.routed_reach(id) } else { ask.reach };
        if let Reach::At(destination) = &reach
            && self.has_already(id)
        {
            self.answer_unnotified(now, incoming, id, tag, ask.expires, *destination);
            return Ok(());
        }
        self.answer_subscribe(now, incoming, tag, ask.expires, is_list);
        self.direct(now, id, reach);
        Ok(())
    }

    pub(crate) fn watcher(
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

    pub(super) fn routed_reach(&self, id: SubscriptionSlot) -> Reach {
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else {
            return Reach::Nowhere;
        };
        match subscription.dialog.routes().next().map(NameAddr::parse) {
            Some(Ok(route)) => reach::away_from_flow(&route.uri, Some(&subscription.flow)),
            _ => Reach::Nowhere,
        }
    }

    /// The subscription whose dialog a request is in (RFC 3261 §12).
    fn find_dialog(&self, request: &Request, tag: &str) -> Option<SubscriptionSlot> {
        let (slot, nonce) = slot_token::parse(tag.as_bytes())?;
        let subscription = self.subscriptions.get(slot as usize)?;
        let from = name_addr::tag_of(request.headers.value("From")?);
        let remote = name_addr::tag_of(subscription.dialog.remote());
        let is_same = subscription.nonce == nonce
            && !matches!(subscription.state, State::Ending(_))
            && request.headers.value("Call-ID") == Some(subscription.dialog.call_id())
            && from == remote;
        is_same.then_some(SubscriptionSlot(slot))
    }

    fn answer_subscribe(
        &mut self,
        now: Now,
        incoming: &Incoming,
        tag: &str,
        expires: Duration,
        is_list: bool,
    ) {
        let request = &incoming.request;
        let sent_by = self.layer.sent_by(&Destination::Flow(incoming.flow));
        let sent_by = self.ways_out.sent_by(incoming.flow.transport, sent_by);
        let expires = expires.as_secs().to_string();
        let routes = request.headers.values("Record-Route").map(|route| ("Record-Route", route));
        let ours = [("Contact", sent_by.contact()), ("Expires", &expires)];
        let require = is_list.then_some(("Require", EVENTLIST));
        let headers: Vec<_> = routes.chain(ours).chain(require).collect();
        self.accept(now, incoming, tag, &headers);
    }

    /// Accepts a refresh that brings no NOTIFY about (RFC 5839 §6.3).
    fn answer_unnotified(
        &mut self,
        now: Now,
        incoming: &Incoming,
        id: SubscriptionSlot,
        tag: &str,
        expires: Duration,
        destination: Destination,
    ) {
        let sent_by = self.layer.sent_by(&Destination::Flow(incoming.flow));
        let sent_by = self.ways_out.sent_by(incoming.flow.transport, sent_by);
        let seconds = expires.as_secs().to_string();
        let headers = [("Contact", sent_by.contact()), ("Expires", seconds.as_str())];
        self.accept_with(now, incoming, 204, tag, &headers);
        if expires.is_zero() {
            self.detach(id);
            return;
        }
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        subscription.is_behind = false;
        if let Kind::List(list) = &mut subscription.kind {
            list.is_full_due = false;
            list.is_rest_due = false;
            for member in &mut list.members {
                member.is_due = false;
            }
        }
        subscription.set_destination(Some(destination));
    }

    /// Sends the NOTIFY that every SUBSCRIBE brings about, as soon as it is known where to.
    pub(super) fn direct(&mut self, now: Now, id: SubscriptionSlot, reach: Reach) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        match reach {
            Reach::At(destination) => {
                subscription.set_destination(Some(destination));
                self.notify_now(now, id);
            }
            Reach::Named(target) => {
                subscription.set_destination(None);
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
                subscription.set_destination(Some(destination));
                self.notify_now(now, id);
            }
            None => self.undeliverable(id),
        }
    }
}
