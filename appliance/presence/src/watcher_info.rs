//! Watcher information (RFC 3857, RFC 3858): a presentity learns who watches it, and who waits for
//! its word.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use sip::clock::{Instant, Now};
use sip::header::media_type::Accept;
use sip::message::HeaderAccess;

use crate::authentication::{Identity, aor_of};
use crate::authorization::{Standing, View};
use crate::document::fragment::{push_attribute, push_text};
use crate::rejection::Rejection;
use crate::resource_list::list_of;
use crate::server::{Incoming, Server};
use crate::subscription::{Beginning, Body, Kind, State, Subscription, SubscriptionSlot};
use crate::user::UserSlot;

/// The package.
pub(crate) const WINFO: &str = "presence.winfo";
const MEDIA: &str = "application/watcherinfo+xml";
/// Watchers that are remembered after their subscription ran out undecided.
const WAITING: usize = 64;

/// What a watcherinfo subscription has besides its dialog.
#[derive(Debug)]
pub(crate) struct WinfoState {
    /// Everybody is due.
    pub(crate) is_full_due: bool,
    /// Who has changed since the last NOTIFY, by the id shown.
    changes: BTreeMap<String, Watcher>,
}

impl WinfoState {
    /// Nothing has been told.
    pub(crate) fn new() -> Self {
        Self { is_full_due: true, changes: BTreeMap::new() }
    }
}

/// One watcher as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watcher {
    uri: String,
    display_name: Option<String>,
    status: Status,
    event: &'static str,
    expires: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Pending,
    Active,
    Waiting,
    Terminated,
}

impl Status {
    const fn token(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Terminated => "terminated",
        }
    }
}

/// Watchers whose subscription ran out before the presentity decided, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Vec<(String, Watcher)>);

/// Which watcher: a subscription, and which member of its list, if it is one to a list.
pub(crate) type WatcherId = (SubscriptionSlot, Option<u32>);

impl Server {
    /// SUBSCRIBE to who watches a user: only that user may.
    pub(crate) fn subscribe_winfo(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        identity: Identity,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        let event = crate::publication::event_of(request)?;
        let watcher = self.watcher(request, identity)?;
        if watcher != Some(slot) {
            return Err(Rejection::Forbidden("Only Your Own Watchers"));
        }
        let accepts = request.headers.value("Accept").is_none()
            || Accept::from_values(request.headers.values("Accept"))
                .is_ok_and(|accept| accept.accepts("application", "watcherinfo+xml"));
        if !accepts {
            return Err(Rejection::NotAcceptable);
        }
        let kind = Kind::Winfo(Box::new(WinfoState::new()));
        let beginning = Beginning { presentity: slot, kind, view: View::ALL, is_pending: false };
        self.begin(now, incoming, &event, watcher, beginning)
    }

    /// A watcher of a presentity has changed.
    pub(crate) fn watcher_changed(&mut self, now: Now, slot: UserSlot, id: WatcherId) {
        if self.users.get(slot).is_none_or(|user| user.followers.is_empty()) {
            return;
        }
        if let Some(watcher) = self.watcher_of(id) {
            self.record_watcher(now, slot, id, watcher);
        }
    }

    /// A watcher of a presentity is one no longer.
    pub(crate) fn watcher_ended(
        &mut self,
        now: Now,
        slot: UserSlot,
        id: WatcherId,
        event: &'static str,
    ) {
        let is_wanted = |user: &crate::user::User| !user.followers.is_empty();
        let may_wait = event == "timeout";
        if !may_wait && !self.users.get(slot).is_some_and(is_wanted) {
            return;
        }
        let Some(mut watcher) = self.watcher_of(id) else { return };
        let was_pending = watcher.status == Status::Pending;
        watcher.status =
            if was_pending && event == "timeout" { Status::Waiting } else { Status::Terminated };
        watcher.event = event;
        watcher.expires = None;
        if watcher.status == Status::Waiting {
            let key = self.watcher_key(id);
            if let Some(user) = self.users.get_mut(slot) {
                let waiting = &mut user.waiting.0;
                waiting.retain(|(_, other)| other.uri != watcher.uri);
                if waiting.len() >= WAITING {
                    waiting.remove(0);
                }
                waiting.push((key, watcher.clone()));
            }
        }
        self.record_watcher(now, slot, id, watcher);
    }

    /// A subscription has begun: who is watched by it may want to know.
    pub(crate) fn tell_of_beginning(&mut self, now: Now, id: SubscriptionSlot) {
        for (slot, id) in self.watched_by(id) {
            self.watcher_changed(now, slot, id);
        }
    }

    /// A subscription ends.
    pub(crate) fn tell_of_end(&mut self, now: Now, id: SubscriptionSlot, event: &'static str) {
        for (slot, id) in self.watched_by(id) {
            self.watcher_ended(now, slot, id, event);
        }
    }

    fn watched_by(&self, id: SubscriptionSlot) -> Vec<(UserSlot, WatcherId)> {
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else { return Vec::new() };
        match &subscription.kind {
            Kind::Presence => vec![(subscription.presentity, (id, None))],
            Kind::Winfo(_) | Kind::State(_) => Vec::new(),
            Kind::List(list) => list
                .members
                .iter()
                .zip(0..)
                .filter_map(|(member, index)| Some((member.slot?, (id, Some(index)))))
                .collect(),
        }
    }

    fn record_watcher(&mut self, now: Now, slot: UserSlot, id: WatcherId, watcher: Watcher) {
        let key = self.watcher_key(id);
        let Some(user) = self.users.get_mut(slot) else { return };
        if watcher.status != Status::Waiting {
            // Who comes back waits no longer.
            user.waiting.0.retain(|(_, other)| other.uri != watcher.uri);
        }
        for follower in user.followers.clone() {
            if let Some(Subscription { kind: Kind::Winfo(state), .. }) =
                self.subscriptions.get_mut(follower.0 as usize)
            {
                state.changes.insert(key.clone(), watcher.clone());
                self.notify_change(now, follower);
            }
        }
    }

    /// An id that says nothing of the dialog.
    fn watcher_key(&self, (id, member): WatcherId) -> String {
        let nonce = self.subscriptions.get(id.0 as usize).map(|s| s.nonce);
        let hash = self.watcher_ids.hash_one((id.0, nonce, member));
        format!("w{hash:016x}")
    }

    fn watcher_of(&self, (id, member): WatcherId) -> Option<Watcher> {
        let subscription = self.subscriptions.get(id.0 as usize)?;
        let remote = subscription.dialog.remote();
        let is_pending = match member {
            None => subscription.is_pending,
            Some(index) => {
                let list = list_of(&self.subscriptions, id)?;
                match list.members.get(index as usize)?.standing {
                    Standing::Rejected => return None,
                    Standing::Pending => true,
                    Standing::Active(_) => false,
                }
            }
        };
        let named = sip::header::name_addr::NameAddr::parse(remote).ok();
        Some(Watcher {
            uri: aor_of(Some(remote))
                .map_or_else(|| remote.to_owned(), |named| named.aor().as_str().to_owned()),
            display_name: named.and_then(|named| named.display_name),
            status: if is_pending { Status::Pending } else { Status::Active },
            event: if subscription.was_pending && !is_pending { "approved" } else { "subscribe" },
            expires: Some(subscription.expires),
        })
    }

    /// Everybody who watches a user.
    fn all_watchers(&self, slot: UserSlot) -> Vec<(String, Watcher)> {
        let Some(user) = self.users.get(slot) else { return Vec::new() };
        let is_alive = |id: &SubscriptionSlot| {
            let subscription = self.subscriptions.get(id.0 as usize);
            subscription.is_some_and(|s| !matches!(s.state, State::Ending(_)))
        };
        let direct = user.watchers.iter().map(|id| (*id, None));
        let listed = user.listed_by.iter().map(|(id, index)| (*id, Some(*index)));
        direct
            .chain(listed)
            .filter(|(id, _)| is_alive(id))
            .filter_map(|id| Some((self.watcher_key(id), self.watcher_of(id)?)))
            .chain(user.waiting.0.iter().cloned())
            .collect()
    }

    /// The body of the next NOTIFY of a watcherinfo subscription, which counts as told then.
    pub(crate) fn winfo_body(&mut self, now: Now, id: SubscriptionSlot) -> Option<Body> {
        let subscription = self.subscriptions.get_mut(id.0 as usize)?;
        let (slot, version) = (subscription.presentity, subscription.cseq.saturating_sub(1));
        let Kind::Winfo(state) = &mut subscription.kind else { return None };
        let is_full = std::mem::take(&mut state.is_full_due);
        let changes = std::mem::take(&mut state.changes);
        let watchers =
            if is_full { self.all_watchers(slot) } else { changes.into_iter().collect() };
        let aor = self.users.get(slot)?.aor.as_str();
        let mut body = String::with_capacity(256 + watchers.len() * 160);
        body.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\"");
        push_attribute(&mut body, "version", &version.to_string());
        push_attribute(&mut body, "state", if is_full { "full" } else { "partial" });
        body.push_str("><watcher-list");
        push_attribute(&mut body, "resource", aor);
        push_attribute(&mut body, "package", "presence");
        body.push('>');
        for (key, watcher) in &watchers {
            push_watcher(&mut body, now, key, watcher);
        }
        body.push_str("</watcher-list></watcherinfo>");
        Some(Body {
            octets: body.into_bytes().into(),
            head: std::borrow::Cow::Borrowed(MEDIA),
            etag: None,
        })
    }
}

fn push_watcher(out: &mut String, now: Now, key: &str, watcher: &Watcher) {
    out.push_str("<watcher");
    push_attribute(out, "id", key);
    push_attribute(out, "status", watcher.status.token());
    push_attribute(out, "event", watcher.event);
    if let Some(name) = watcher.display_name.as_deref().filter(|name| !name.is_empty()) {
        push_attribute(out, "display-name", name);
    }
    if let Some(expires) = watcher.expires {
        let left = expires.since(now.monotonic).as_secs().to_string();
        push_attribute(out, "expiration", &left);
    }
    out.push('>');
    push_text(out, &watcher.uri);
    out.push_str("</watcher>");
}
