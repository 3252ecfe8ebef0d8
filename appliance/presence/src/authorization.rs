//! Who may watch whom: the presentity's rules, else the node's policy, applied to subscriptions as
//! they come and whenever something that they depend on changes (RFC 5025 §4).

use std::sync::Arc;

use sip::aor::Aor;
use sip::clock::Now;

use crate::authentication::aor_of;
use crate::compositor::Order;
use crate::event_state::Package;
use crate::node_policy::Item;
use crate::policy::{Circumstances, Decision, Handling, Permissions, view};
use crate::server::{Due, Server};
use crate::subscription::{Kind, Reason, SubscriptionSlot};
use crate::user::{User, UserSlot};

/// What a watcher is shown of a presentity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View(u16);

impl View {
    /// Everything.
    pub(crate) const ALL: Self = Self(0);
    /// That nobody is there.
    pub(crate) const UNAVAILABLE: Self = Self(1);
    /// None that there is.
    const NONE: Self = Self(u16::MAX);
    const FIRST: u16 = 2;
    /// Distinct views of one presentity; beyond, watchers see that nobody is there.
    const MOST: usize = 256;

    const fn place(self) -> Option<usize> {
        match self.0.checked_sub(Self::FIRST) {
            Some(place) => Some(place as usize),
            None => None,
        }
    }
}

/// The views of a presentity that are in use, and what each shows at present.
#[derive(Debug, Default)]
pub(crate) struct Views {
    list: Vec<(Permissions, Option<Arc<[u8]>>)>,
    unavailable: Option<Arc<[u8]>>,
}

impl Views {
    const MANY: usize = 64;

    /// The view of these permissions.
    fn of(&mut self, permissions: &Permissions) -> View {
        if permissions.is_all() {
            return View::ALL;
        }
        let place = self.list.iter().position(|(known, _)| known == permissions);
        let place = match place {
            Some(place) => place,
            None if self.list.len() >= View::MOST => return View::UNAVAILABLE,
            None => {
                self.list.push((permissions.clone(), None));
                self.list.len() - 1
            }
        };
        u16::try_from(place).map_or(View::UNAVAILABLE, |place| View(View::FIRST + place))
    }

    /// The document has changed: which views show something else than before.
    pub(crate) fn renew(&mut self, document: &Arc<[u8]>) -> Vec<bool> {
        let mut changed = Vec::with_capacity(self.list.len());
        for (permissions, shown) in &mut self.list {
            let now: Option<Arc<[u8]>> = view::filter(document, permissions).map(Into::into);
            changed.push(*shown != now);
            if *shown != now {
                *shown = now;
            }
        }
        changed
    }

    /// What a view shows of a document.
    pub(crate) fn show(&mut self, view: View, document: &Arc<[u8]>, aor: &Aor) -> Arc<[u8]> {
        if view == View::ALL {
            return Arc::clone(document);
        }
        let Some((permissions, shown)) = view.place().and_then(|place| self.list.get_mut(place))
        else {
            let nobody = || crate::compositor::compose(aor.as_str(), &[], &Order::default()).into();
            return Arc::clone(self.unavailable.get_or_insert_with(nobody));
        };
        let filtered = || {
            view::filter(document, permissions)
                .unwrap_or_else(|| crate::compositor::compose(aor.as_str(), &[], &Order::default()))
                .into()
        };
        Arc::clone(shown.get_or_insert_with(filtered))
    }

    /// Whether a change of the document, with what [`Self::renew`] said, is one of this view.
    pub(crate) fn is_changed(view: View, changed: &[bool]) -> bool {
        match view {
            View::ALL => true,
            View::UNAVAILABLE => false,
            other => other.place().and_then(|place| changed.get(place)).copied().unwrap_or(true),
        }
    }
}

/// What a decision makes of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Refused.
    Rejected,
    /// Waits for the presentity.
    Pending,
    /// Told this.
    Active(View),
}

impl Server {
    /// What stands for a watcher of a presentity.
    pub(crate) fn standing(&mut self, now: Now, slot: UserSlot, watcher: Option<&Aor>) -> Standing {
        let decision = self.decide(now, slot, watcher);
        match decision.handling {
            Handling::Block => Standing::Rejected,
            Handling::Confirm => Standing::Pending,
            Handling::PoliteBlock => Standing::Active(View::UNAVAILABLE),
            Handling::Allow => {
                let views = self.users.get_mut(slot).map(|user| &mut user.views);
                Standing::Active(views.map_or(View::ALL, |views| views.of(&decision.permissions)))
            }
        }
    }

    fn decide(&self, now: Now, slot: UserSlot, watcher: Option<&Aor>) -> Decision {
        let Some(user) = self.users.get(slot) else { return Decision::default() };
        if watcher == Some(&user.aor) {
            return Decision::allow_all();
        }
        if let Some(rules) = &user.documents.rules {
            let sphere = if rules.depends_on_sphere() { sphere_of(user) } else { None };
            return rules.decide(&Circumstances {
                watcher,
                now: now.wall,
                sphere,
                is_listed: &|list, watcher| self.is_listed(list, watcher),
            });
        }
        let is_inside = watcher.is_some_and(|watcher| watcher.domain() == self.users.domain());
        let item = if is_inside { Item::Inside } else { Item::Outside };
        Decision { handling: self.policy.handling(item), permissions: Permissions::all() }
    }

    /// Decides anew about everybody who watches a presentity.
    pub(crate) fn review(&mut self, now: Now, slot: UserSlot) {
        self.arm_rules(now, slot);
        let Some(user) = self.users.get(slot) else { return };
        if user.watchers.is_empty() && user.listed_by.is_empty() && user.followers.is_empty() {
            return;
        }
        let watchers = user.watchers.clone();
        // Views that were in use once are let go when there are many.
        let is_crowded = user.views.list.len() > Views::MANY;
        if is_crowded && let Some(user) = self.users.get_mut(slot) {
            user.views = Views::default();
        }
        for id in watchers {
            if is_crowded && let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) {
                subscription.view = View::NONE;
            }
            self.review_one(now, slot, id);
        }
        self.review_followers(now, slot);
        self.review_lists(now, slot, is_crowded);
    }

    /// Who follows the calls of a presentity is judged like who watches it.
    fn review_followers(&mut self, now: Now, slot: UserSlot) {
        let followers = self.users.get(slot).map(|user| user.followers.clone());
        for id in followers.unwrap_or_default() {
            let subscription = self.subscriptions.get(id.0 as usize);
            if subscription.is_some_and(|s| matches!(s.kind, Kind::State(Package::Dialog))) {
                self.review_one(now, slot, id);
            }
        }
    }

    pub(crate) fn review_one(&mut self, now: Now, slot: UserSlot, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else { return };
        let watcher = aor_of(Some(subscription.dialog.remote())).map(|named| named.aor());
        let standing = self.standing(now, slot, watcher.as_ref());
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        match standing {
            Standing::Rejected => self.end(now, id, Reason::Rejected),
            Standing::Pending if subscription.is_pending => {}
            Standing::Pending => {
                subscription.is_pending = true;
                self.notify_change(now, id);
                self.watcher_changed(now, slot, (id, None));
            }
            Standing::Active(view) if subscription.is_pending || subscription.view != view => {
                let was_pending = std::mem::take(&mut subscription.is_pending);
                subscription.was_pending |= was_pending;
                subscription.view = view;
                self.notify_change(now, id);
                if was_pending {
                    self.watcher_changed(now, slot, (id, None));
                }
            }
            Standing::Active(_) => {}
        }
    }

    /// Rules that hold for a time are looked at again when that begins or ends.
    pub(crate) fn arm_rules(&mut self, now: Now, slot: UserSlot) {
        let rules = self.users.get(slot).and_then(|user| user.documents.rules.as_ref());
        if let Some(next) = rules.and_then(|rules| rules.next_change(now.wall)) {
            self.deadlines.insert(now.monotonic + next.since(now.wall), Due::Rules(slot));
        }
    }

    /// The presentity has published: its sphere may be another.
    pub(crate) fn review_sphere(&mut self, now: Now, slot: UserSlot) {
        let depends = |user: &User| {
            user.documents.rules.as_ref().is_some_and(|rules| rules.depends_on_sphere())
        };
        if self.users.get(slot).is_some_and(depends) {
            self.review(now, slot);
        }
    }
}

/// The sphere that all publications agree on (RFC 5025 §3.1.2).
fn sphere_of(user: &User) -> Option<&str> {
    let persons = user.publications.iter().flat_map(|publication| publication.document.persons());
    let mut spheres = persons.filter_map(|person| person.sphere());
    let first = spheres.next()?;
    spheres.all(|other| other.eq_ignore_ascii_case(first)).then_some(first)
}
