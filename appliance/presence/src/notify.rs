//! NOTIFY: one head per dialog, one body per view, and what the answers mean.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use sip::clock::Now;
use sip::flow::Destination;
use sip::slot_token;
use sip::transaction::HoldMark;
use sip::uri;

use crate::authorization::{View, Views};
use crate::conditional::{EntityTag, Suppress};
use crate::dialog::{Varying, Wording};
use crate::reach::{self, Reach};
use crate::rejection::PIDF;
use crate::server::{Due, Purpose, Server};
use crate::subscription::{Body, CSEQ_BLOCK, Kind, Reason, State, SubscriptionSlot};
use crate::user::UserSlot;

impl Server {
    /// Something about a presentity may have changed: if its document has, its watchers hear.
    pub(crate) fn tell_watchers(&mut self, now: Now, slot: UserSlot) {
        self.review_sphere(now, slot);
        let Some(user) = self.users.get(slot).filter(|user| user.is_stale) else { return };
        if user.watchers.is_empty() && user.listed_by.is_empty() {
            return;
        }
        let before = user.document.clone();
        let Some(after) = self.document(slot) else { return };
        if before.as_ref() == Some(&after) {
            return;
        }
        let changed = self.users.get_mut(slot).map(|user| user.views.renew(&after));
        let changed = changed.unwrap_or_default();
        self.tell_lists(now, slot, &changed);
        let count = self.users.get(slot).map_or(0, |user| user.watchers.len());
        // A NOTIFY that ends a subscription takes it off the list, so go from the end.
        for position in (0..count).rev() {
            let watcher = self.users.get(slot).and_then(|u| u.watchers.get(position)).copied();
            let is_told = |id: &SubscriptionSlot| {
                self.subscriptions.get(id.0 as usize).is_some_and(|subscription| {
                    !subscription.is_pending && Views::is_changed(subscription.view, &changed)
                })
            };
            if let Some(watcher) = watcher.filter(is_told)
                && !self.has_already(watcher)
            {
                self.notify_change(now, watcher);
            }
        }
    }

    /// Whether a watcher said that it has what it would be told now.
    pub(crate) fn has_already(&mut self, id: SubscriptionSlot) -> bool {
        let suppress = self.subscriptions.get(id.0 as usize).map(|s| s.suppress);
        let suppress = suppress.unwrap_or_default();
        suppress != Suppress::default()
            && self.entity_tag(id).is_some_and(|etag| suppress.covers(etag))
    }

    /// What a watcher is shown.
    pub(crate) fn shown(&mut self, slot: UserSlot, view: View) -> Option<Arc<[u8]>> {
        let document = self.document(slot)?;
        let user = self.users.get_mut(slot)?;
        Some(user.views.show(view, &document, &user.aor))
    }

    /// The composed document of a user.
    pub(crate) fn document(&mut self, slot: UserSlot) -> Option<Arc<[u8]>> {
        let user = self.users.get_mut(slot)?;
        if user.is_stale {
            let order = self.policy.order();
            let inputs = crate::publication::inputs(user);
            let composed = crate::compositor::compose(user.aor.as_str(), &inputs, &order);
            if user.document.as_deref() != Some(composed.as_slice()) {
                user.document = Some(composed.into());
            }
            user.is_stale = false;
        }
        user.document.clone()
    }

    /// Tells a watcher about a change: now, or as soon as it has answered the NOTIFY before. So
    /// one slow watcher holds up nobody, and gets the latest state instead of a queue.
    pub(crate) fn notify_change(&mut self, now: Now, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        if matches!(subscription.state, State::Ending(_)) {
            return;
        }
        let is_waiting = subscription.in_flight.is_some()
            || subscription.destination().is_none()
            || subscription.state == State::Suspended;
        if is_waiting {
            self.counters.notifies_coalesced += u64::from(subscription.is_behind);
            subscription.is_behind = true;
            return;
        }
        self.notify_now(now, id);
    }

    /// What a NOTIFY says.
    fn body(
        &mut self,
        now: Now,
        id: SubscriptionSlot,
        presentity: UserSlot,
        view: View,
    ) -> Option<Body> {
        let subscription = self.subscriptions.get(id.0 as usize)?;
        match subscription.kind {
            Kind::Presence => {
                let octets = self.shown(presentity, view)?;
                let etag = Some(EntityTag::of(&octets));
                Some(Body { octets, head: Cow::Borrowed(PIDF), etag })
            }
            Kind::List(_) => self.list_body(now, id),
            Kind::Winfo(_) => self.winfo_body(now, id),
            Kind::State(package) => self.state_body(now, id, package),
        }
    }

    /// Tells what could not be told before.
    pub(crate) fn notify_again(&mut self, now: Now, id: SubscriptionSlot) {
        match self.subscriptions.get(id.0 as usize).map(|subscription| &subscription.kind) {
            Some(Kind::List(_)) => self.list_changed(now, id),
            _ => self.notify_change(now, id),
        }
    }

    /// Sends full state to a watcher, instead of a NOTIFY that may still be under way.
    pub(crate) fn notify_now(&mut self, now: Now, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        let Some(destination) = subscription.destination() else { return };
        if let Some(client) = subscription.in_flight.take() {
            subscription.owe_everything();
            self.layer.abandon(client);
        }
        let (presentity, view) = (subscription.presentity, subscription.view);
        let seconds = subscription.expires.since(now.monotonic).as_secs();
        let wording = match subscription.state {
            State::Active | State::Suspended if subscription.is_pending => {
                Wording::Pending { seconds }
            }
            State::Active | State::Suspended => Wording::Active { seconds },
            State::Ending(reason) => Wording::Terminated { reason: reason.token() },
        };
        // Who waits for the presentity's word is told nothing of it (RFC 5025 §3.2.1).
        let gives_state = !subscription.is_pending
            && matches!(
                subscription.state,
                State::Active | State::Suspended | State::Ending(Reason::Timeout)
            );
        subscription.cseq += 1;
        if subscription.cseq > subscription.cseq_reserved {
            subscription.cseq_reserved = subscription.cseq.saturating_add(CSEQ_BLOCK);
            self.store_subscription(now, id);
        }
        let body = if gives_state { self.body(now, id, presentity, view) } else { None };
        let etag = body.as_ref().and_then(|body| body.etag);
        let durable = self.durable;
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        let after =
            if subscription.saved > durable { HoldMark(subscription.saved.0) } else { HoldMark(0) };
        // Who has it is told that it is still so (RFC 5839 §6.2).
        let is_covered = etag.is_some_and(|etag| subscription.suppress.covers(etag));
        let body = body.filter(|_| !is_covered);
        let (cseq, dialog) = (subscription.cseq, &subscription.dialog);
        let event = subscription.kind.package();
        let purpose = Purpose::Notify(id, subscription.nonce);
        let tag = slot_token::digits(id.0, subscription.nonce);
        let sent =
            self.layer.send_lean(now.monotonic, destination, purpose, after, |branch, out| {
                let length = body.as_ref().map_or(0, |body| body.octets.len());
                let media = body.as_ref().map_or("", |body| &body.head);
                let varying =
                    Varying { branch, tag: &tag, cseq, event, wording, etag, media, body: length };
                dialog.write_head(&varying, out);
                body.map(|body| body.octets)
            });
        subscription.in_flight = sent;
        match &mut subscription.kind {
            Kind::Presence | Kind::State(_) => subscription.is_behind = sent.is_none(),
            Kind::List(list) => {
                list.is_full_due |= sent.is_none();
                subscription.is_behind |= sent.is_none();
            }
            Kind::Winfo(state) => {
                state.is_full_due |= sent.is_none();
                subscription.is_behind = sent.is_none();
            }
        }
        if sent.is_some() {
            subscription.notifies = subscription.notifies.wrapping_add(1);
            self.counters.notifies += 1;
        } else {
            let at = now.monotonic + Duration::from_secs(1);
            let nonce = subscription.nonce;
            self.deadlines.insert(at, Due::Subscription(id, nonce));
        }
    }

    /// A watcher has answered.
    pub(crate) fn notify_answered(
        &mut self,
        now: Now,
        id: SubscriptionSlot,
        nonce: u64,
        status: u16,
        retry_after: Option<u32>,
    ) {
        let Some(subscription) =
            self.subscriptions.get_mut(id.0 as usize).filter(|s| s.nonce == nonce)
        else {
            return;
        };
        subscription.in_flight = None;
        if status >= 300 {
            subscription.owe_everything();
        }
        let is_over = matches!(subscription.state, State::Ending(_)) || ends_subscription(status);
        if (200..300).contains(&status) {
            self.counters.notifies_confirmed += 1;
        } else {
            self.counters.notifies_failed += 1;
        }
        if is_over {
            self.tell_of_loss(now, id);
            self.detach(id);
        } else if let Some(seconds) = retry_after.filter(|_| status >= 300) {
            subscription.is_behind = true;
            let pause = Duration::from_secs(u64::from(seconds.clamp(1, 3600)));
            self.deadlines.insert(now.monotonic + pause, Due::Subscription(id, nonce));
        } else if subscription.is_behind {
            self.notify_again(now, id);
        }
    }

    /// A subscription is about to be forgotten without its end having been told.
    fn tell_of_loss(&mut self, now: Now, id: SubscriptionSlot) {
        let state = self.subscriptions.get(id.0 as usize).map(|subscription| subscription.state);
        if state.is_some_and(|state| !matches!(state, State::Ending(_))) {
            self.tell_of_end(now, id, "deactivated");
        }
    }

    /// A watcher has not answered in time (RFC 6665 §4.2.2): its subscription is over.
    pub(crate) fn notify_timed_out(&mut self, now: Now, id: SubscriptionSlot, nonce: u64) {
        let current = self.subscriptions.get(id.0 as usize).is_some_and(|s| s.nonce == nonce);
        if current {
            self.counters.notifies_failed += 1;
            self.tell_of_loss(now, id);
            self.detach(id);
        }
    }

    /// A NOTIFY could not be sent: its flow is gone, or nobody listens at its address.
    pub(crate) fn notify_unreachable(&mut self, now: Now, id: SubscriptionSlot, nonce: u64) {
        let Some(subscription) =
            self.subscriptions.get_mut(id.0 as usize).filter(|s| s.nonce == nonce)
        else {
            return;
        };
        self.counters.notifies_failed += 1;
        subscription.in_flight = None;
        subscription.owe_everything();
        let was_flow = matches!(subscription.destination(), Some(Destination::Flow(_)));
        let elsewhere = uri::parse(subscription.dialog.target())
            .map_or(Reach::Nowhere, |target| reach::away_from_flow(&target, None));
        match elsewhere {
            Reach::At(destination) if was_flow && subscription.dialog.routes().next().is_none() => {
                subscription.set_destination(Some(destination));
                self.notify_now(now, id);
            }
            _ => self.undeliverable(id),
        }
    }

    /// There is no way to a watcher for now: it keeps its subscription until that expires, and
    /// gets full state when it refreshes.
    pub(crate) fn undeliverable(&mut self, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        if matches!(subscription.state, State::Ending(_)) {
            self.detach(id);
        } else {
            subscription.state = State::Suspended;
            subscription.is_behind = true;
        }
    }
}

/// Answers to a NOTIFY that end the subscription (RFC 6665 §4.2.2, RFC 5057 §5).
const fn ends_subscription(status: u16) -> bool {
    matches!(status, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}
