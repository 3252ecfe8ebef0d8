//! Subscriptions to presence (RFC 6665, RFC 3856): the notifier's side of each dialog.

mod request;
mod restored;

use std::borrow::Cow;
use std::sync::Arc;

use sip::clock::{Instant, Now};
use sip::flow::{Destination, Flow};
use sip::transaction::ClientId;

use crate::authentication::aor_of;
use crate::authorization::View;
use crate::command::SubscriptionView;
use crate::conditional::{EntityTag, Suppress};
use crate::dialog::Dialog;
use crate::event_state::Package;
use crate::output::SaveSequence;
use crate::publication::PRESENCE;
use crate::reach::Reach;
use crate::record::{
    FlowRecord, ListSourceRecord, ListSubscriptionRecord, PackageSubscriptionRecord,
    SubscriptionRecord, Table, encode,
};
use crate::resource_list::{ListState, Source};
use crate::server::{Due, Server};
use crate::user::{UserSlot, Users};
use crate::watcher_info::{WINFO, WinfoState};

pub(crate) use restored::RestoredDialogs;

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
    /// The presentity or the node will not have it.
    Rejected,
}

impl Reason {
    /// As Subscription-State and watcher information have it.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NoResource => "noresource",
            Self::Deactivated => "deactivated",
            Self::Rejected => "rejected",
        }
    }
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

/// What a subscription is to.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The presence of one user.
    Presence,
    /// A list.
    List(Box<ListState>),
    /// Who watches the presentity.
    Winfo(Box<WinfoState>),
    /// The state of another package.
    State(Package),
}

impl Kind {
    /// The event package.
    pub(crate) const fn package(&self) -> &'static str {
        match self {
            Self::Presence | Self::List(_) => PRESENCE,
            Self::Winfo(_) => WINFO,
            Self::State(package) => package.token(),
        }
    }
}

/// What a subscription begins with, besides its dialog.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) presentity: UserSlot,
    pub(crate) kind: Kind,
    pub(crate) view: View,
    pub(crate) is_pending: bool,
}

/// What a NOTIFY brings.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) octets: Arc<[u8]>,
    /// The value of Content-Type, and header lines that follow it.
    pub(crate) head: Cow<'static, str>,
    /// Names what is told.
    pub(crate) etag: Option<EntityTag>,
}

/// Where the NOTIFYs of a subscription go.
#[derive(Debug)]
enum Way {
    /// The watcher's name has not been located.
    Unknown,
    /// Over the flow of the last SUBSCRIBE, as nearly always.
    Flow,
    /// Elsewhere.
    Other(Box<Destination>),
}

/// One subscription: a compact record, with its dialog.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) nonce: u64,
    pub(crate) presentity: UserSlot,
    pub(crate) kind: Kind,
    /// The watcher, when it is a user of this node.
    pub(crate) watcher: Option<UserSlot>,
    /// Where it stands in its presentity's list of watchers.
    pub(crate) position: u32,
    pub(crate) expires: Instant,
    pub(crate) armed: Instant,
    pub(crate) cseq: u32,
    pub(crate) cseq_reserved: u32,
    pub(crate) remote_cseq: u32,
    pub(crate) dialog: Dialog,
    way: Way,
    flow: Flow,
    pub(crate) is_direct: bool,
    pub(crate) state: State,
    /// What the watcher may see.
    pub(crate) view: View,
    /// The presentity has not decided yet: there is nothing to see.
    pub(crate) is_pending: bool,
    /// The presentity did decide.
    pub(crate) was_pending: bool,
    /// What the watcher has already.
    pub(crate) suppress: Suppress,
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
    /// A SUBSCRIBE has come another way; NOTIFYs do not follow it by themselves.
    pub(crate) fn set_flow(&mut self, flow: Flow) {
        let destination = self.destination();
        self.flow = flow;
        self.set_destination(destination);
    }

    /// Where its NOTIFYs go; `None` until the watcher's name has been located.
    pub(crate) fn destination(&self) -> Option<Destination> {
        match &self.way {
            Way::Unknown => None,
            Way::Flow => Some(Destination::Flow(self.flow)),
            Way::Other(destination) => Some(**destination),
        }
    }

    pub(crate) fn set_destination(&mut self, destination: Option<Destination>) {
        self.way = match destination {
            None => Way::Unknown,
            Some(Destination::Flow(flow)) if flow == self.flow => Way::Flow,
            Some(destination) => Way::Other(Box::new(destination)),
        };
    }

    /// What the last NOTIFY told may not have arrived.
    pub(crate) fn owe_everything(&mut self) {
        match &mut self.kind {
            Kind::Presence | Kind::State(_) => {}
            Kind::List(list) => list.is_full_due = true,
            Kind::Winfo(state) => state.is_full_due = true,
        }
    }

    const fn table(&self) -> Table {
        match self.kind {
            Kind::Presence => Table::Subscription,
            Kind::List(_) => Table::ListSubscription,
            Kind::Winfo(_) | Kind::State(_) => Table::PackageSubscription,
        }
    }

    fn record<'a>(&'a self, now: Now, users: &'a Users) -> Option<SubscriptionRecord<'a>> {
        let dialog = &self.dialog;
        let id_of = |slot| users.get(slot).map(|user| Cow::Borrowed(&*user.id));
        Some(SubscriptionRecord {
            nonce: self.nonce,
            presentity: match self.kind {
                Kind::Presence | Kind::Winfo(_) | Kind::State(_) => id_of(self.presentity)?,
                Kind::List(_) => Cow::Borrowed(""),
            },
            watcher: self.watcher.and_then(id_of),
            expires_millis: (now.wall + self.expires.since(now.monotonic)).as_millis(),
            cseq_reserved: self.cseq_reserved,
            remote_cseq: self.remote_cseq,
            target: dialog.target().into(),
            routes: dialog.routes().map(str::to_owned).collect(),
            local: dialog.local().into(),
            remote: dialog.remote().into(),
            call_id: dialog.call_id().into(),
            event_id: dialog.event_id().map(Into::into),
            flow: FlowRecord::from(&self.flow),
            is_direct: self.is_direct,
        })
    }

    pub(crate) fn view(
        &self,
        slot: SubscriptionSlot,
        presentity: &str,
        now: Now,
    ) -> SubscriptionView {
        let watcher = aor_of(Some(self.dialog.remote()));
        SubscriptionView {
            index: slot.0,
            watcher: watcher.map_or_else(
                || self.dialog.remote().to_owned(),
                |named| named.aor().as_str().to_owned(),
            ),
            presentity: match &self.kind {
                Kind::Presence => presentity.to_owned(),
                Kind::Winfo(_) | Kind::State(_) => {
                    format!("{presentity} ({})", self.kind.package())
                }
                Kind::List(list) => list.uri.clone(),
            },
            state: match self.state {
                State::Active if self.is_pending => "pending",
                State::Active => "active",
                State::Suspended => "suspended",
                State::Ending(_) => "ending",
            },
            expires_in: self.expires.since(now.monotonic),
            destination: match self.destination() {
                Some(Destination::Flow(flow)) => flow.to_string(),
                Some(Destination::Hop(hop)) => {
                    format!("{}:{}", hop.transport.uri_token(), hop.address)
                }
                None => String::from("being located"),
            },
            notifies: self.notifies,
            call_id: self.dialog.call_id().to_owned(),
            notify_cseq: self.cseq,
            is_notify_due: self.is_behind,
        }
    }
}

impl Server {
    /// Adds a subscription to its presentity's watchers.
    pub(super) fn attach(&mut self, mut subscription: Subscription) -> SubscriptionSlot {
        let (presentity, watcher) = (subscription.presentity, subscription.watcher);
        let is_follower = matches!(subscription.kind, Kind::Winfo(_) | Kind::State(_));
        let position = self.users.get(presentity).map_or(0, |user| user.watchers.len());
        subscription.position =
            if is_follower { u32::MAX } else { u32::try_from(position).unwrap_or(u32::MAX) };
        let index = self.subscriptions.insert(subscription);
        let id = SubscriptionSlot(u32::try_from(index).unwrap_or(u32::MAX));
        if let Some(user) = self.users.get_mut(presentity) {
            if is_follower {
                user.followers.push(id);
            } else {
                user.watchers.push(id);
            }
        }
        self.attach_members(id);
        if let Some(user) = watcher.and_then(|watcher| self.users.get_mut(watcher)) {
            user.watching += 1;
        }
        id
    }

    /// Forgets a subscription, in memory and on disk.
    pub(crate) fn detach(&mut self, id: SubscriptionSlot) {
        self.unstore_subscription(id);
        if self.list_subscriptions.contains(&id) {
            self.detach_members(id);
        }
        let Some(subscription) = self.subscriptions.try_remove(id.0 as usize) else { return };
        if let Some(client) = subscription.in_flight {
            self.layer.abandon(client);
        }
        if let Some(user) = subscription.watcher.and_then(|w| self.users.get_mut(w)) {
            user.watching = user.watching.saturating_sub(1);
        }
        let Some(user) = self.users.get_mut(subscription.presentity) else { return };
        if matches!(subscription.kind, Kind::Winfo(_) | Kind::State(_)) {
            user.followers.retain(|follower| *follower != id);
            return;
        }
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
    pub(crate) fn store_subscription(&mut self, now: Now, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else { return };
        if !subscription.is_stored {
            return;
        }
        let Some(record) = subscription.record(now, &self.users) else { return };
        let value = match &subscription.kind {
            Kind::Presence => encode(&record),
            Kind::Winfo(_) | Kind::State(_) => encode(&PackageSubscriptionRecord {
                subscription: record,
                package: subscription.kind.package().into(),
            }),
            Kind::List(list) => encode(&ListSubscriptionRecord {
                subscription: record,
                uri: list.uri.as_str().into(),
                source: match &list.source {
                    Source::Service(aor) => ListSourceRecord::Service(aor.as_str().to_owned()),
                    Source::Group(aor) => ListSourceRecord::Group(aor.as_str().to_owned()),
                    Source::Request => ListSourceRecord::Request(list.listed()),
                },
                takes_deflate: list.takes_deflate,
            }),
        };
        let key = subscription.table().key(&[&id.0.to_be_bytes()]);
        let saved = self.save(key, Some(value));
        if let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) {
            subscription.saved = saved;
        }
    }

    pub(super) fn unstore_subscription(&mut self, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        if std::mem::take(&mut subscription.is_stored) {
            let key = subscription.table().key(&[&id.0.to_be_bytes()]);
            let saved = self.save(key, None);
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
            if subscription.in_flight.is_none() && subscription.destination().is_some() {
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
                self.notify_again(now, id);
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
        if subscription.state == State::Active
            && subscription.destination().is_none()
            && let Reach::At(destination) = self.way_back(id)
            && let Some(subscription) = self.subscriptions.get_mut(id.0 as usize)
        {
            // It came back from the store, and its turn to hear of that has not come yet.
            subscription.set_destination(Some(destination));
        }
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        let is_reachable =
            subscription.state == State::Active && subscription.destination().is_some();
        self.tell_of_end(now, id, reason.token());
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        subscription.state = State::Ending(reason);
        if is_reachable {
            self.unstore_subscription(id);
            self.notify_now(now, id);
        } else {
            self.detach(id);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_subscription_is_a_compact_record() {
        assert!(size_of::<super::Subscription>() <= 248, "{}", size_of::<super::Subscription>());
    }
}
