//! Subscriptions to lists (RFC 4662, RFC 4826, RFC 5367): one dialog that tells about everybody on
//! a list, each as that presentity's rules have it for this watcher.

mod notification;
mod request;

pub(crate) use self::request::EVENTLIST;

use std::time::Duration;

use sip::aor::Aor;
use sip::clock::{Instant, Now};

use crate::authentication::aor_of;
use crate::authorization::{Standing, View, Views};
use crate::node_policy::Item;
use crate::server::{Due, Server};
use crate::subscription::{Kind, State, SubscriptionSlot};
use crate::user::UserSlot;

/// Members of a list; what is beyond is left out, and said so.
pub(crate) const MEMBERS: usize = 1000;

/// URIs and the names that a list gives them.
pub(crate) type Listed = Vec<(String, Option<String>)>;

/// Where the members of a list come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A service that a user defined (RFC 4826 §4).
    Service(Aor),
    /// A group of a directory, by its URI.
    Group(Aor),
    /// What the SUBSCRIBE brought (RFC 5367): the members are all there is of it.
    Request,
}

/// What a list subscription has besides its dialog.
#[derive(Debug)]
pub(crate) struct ListState {
    pub(crate) source: Source,
    /// The URI subscribed to.
    pub(crate) uri: String,
    pub(crate) name: Option<String>,
    pub(crate) members: Vec<Member>,
    /// Everybody is due, not only who has changed.
    pub(crate) is_full_due: bool,
    /// Parts of what is due did not fit into the last NOTIFY.
    pub(crate) is_rest_due: bool,
    /// Changes are told together, not before this.
    pub(crate) quiet_until: Instant,
    /// A deadline for then is set.
    pub(crate) is_armed: bool,
    /// The watcher takes deflated bodies.
    pub(crate) takes_deflate: bool,
}

impl ListState {
    /// The members that the watcher brought; nothing where they come from elsewhere.
    pub(crate) fn listed(&self) -> Listed {
        if self.source != Source::Request {
            return Vec::new();
        }
        let named =
            |member: &Member| (member.uri.to_string(), member.name.as_deref().map(str::to_owned));
        self.members.iter().map(named).collect()
    }
}

/// Somebody on a list.
#[derive(Debug)]
pub(crate) struct Member {
    /// As the list has it.
    pub(crate) uri: Box<str>,
    pub(crate) name: Option<Box<str>>,
    /// The user; none for somebody of another domain, or for nobody.
    pub(crate) slot: Option<UserSlot>,
    /// Of our domain.
    pub(crate) is_ours: bool,
    pub(crate) standing: Standing,
    /// Has changed since it was told.
    pub(crate) is_due: bool,
    /// A digest of what was told last; zero before.
    pub(crate) told: u64,
    /// Counts the subscriptions behind this member: a new one has another id.
    pub(crate) instance: u16,
}

impl Member {
    /// Members of whom no more is known than what a list says.
    pub(crate) fn unknown(listed: Listed) -> Vec<Self> {
        let member = |(uri, name): (String, Option<String>)| Self {
            uri: uri.into(),
            name: name.map(Into::into),
            slot: None,
            is_ours: false,
            standing: Standing::Rejected,
            is_due: true,
            told: 0,
            instance: 0,
        };
        listed.into_iter().map(member).collect()
    }
}

impl Server {
    /// The members of a list as its source has them now; none where the source is gone. `brought` is
    /// what the watcher brought, where it did.
    pub(crate) fn members_of(
        &mut self,
        now: Now,
        source: &Source,
        brought: Listed,
        watcher: Option<&Aor>,
    ) -> Option<(Option<String>, Vec<Member>)> {
        let (name, listed) = match source {
            Source::Service(aor) => {
                let (_, list, _) = self.service(aor)?;
                (list.display_name.clone().or_else(|| list.name.clone()), self.flattened(&list))
            }
            Source::Group(aor) => {
                let group = self.groups.get(aor)?;
                let uri = |id: &String| (format!("sip:{id}@{}", self.users.domain()), None);
                (Some(group.name.clone()), group.members.iter().map(uri).collect())
            }
            Source::Request => (None, brought),
        };
        if listed.len() > MEMBERS {
            self.counters.list_members_left_out += (listed.len() - MEMBERS) as u64;
        }
        let mut members = Vec::with_capacity(listed.len().min(MEMBERS));
        for (uri, name) in listed.into_iter().take(MEMBERS) {
            let parsed = sip::uri::parse(&uri).ok();
            let named = parsed.as_ref().and_then(|uri| sip::aor::Named::by_uri(uri).ok());
            let is_ours = named.as_ref().is_some_and(|named| self.is_our_domain(&named.domain));
            let slot = named.as_ref().and_then(|named| self.served_user(named));
            let is_staying =
                |slot: &UserSlot| self.users.get(*slot).is_some_and(|user| !user.is_leaving);
            let slot = slot.filter(is_staying);
            let standing =
                slot.map_or(Standing::Rejected, |slot| self.standing(now, slot, watcher));
            members.push(Member {
                uri: uri.into(),
                name: name.map(Into::into),
                slot,
                is_ours,
                standing,
                is_due: true,
                told: 0,
                instance: 0,
            });
        }
        Some((name, members))
    }

    /// Lets the members of a list find it.
    pub(crate) fn attach_members(&mut self, id: SubscriptionSlot) {
        self.list_subscriptions.insert(id);
        let Some(list) = list_of(&self.subscriptions, id) else { return };
        let mut missing = Vec::new();
        for (index, member) in list.members.iter().enumerate() {
            match member.slot {
                Some(slot) => {
                    if let Some(user) = self.users.get_mut(slot) {
                        user.listed_by.push((id, u32::try_from(index).unwrap_or(u32::MAX)));
                    }
                }
                None if member.is_ours => missing.push(member.uri.clone()),
                None => {}
            }
        }
        for uri in missing {
            self.missing_members.entry(uri).or_default().insert(id);
        }
    }

    /// The contrary.
    pub(crate) fn detach_members(&mut self, id: SubscriptionSlot) {
        self.list_subscriptions.remove(&id);
        let Some(list) = list_of(&self.subscriptions, id) else { return };
        for member in &list.members {
            if let Some(user) = member.slot.and_then(|slot| self.users.get_mut(slot)) {
                user.listed_by.retain(|(other, _)| *other != id);
            } else if let Some(lists) = self.missing_members.get_mut(&member.uri) {
                lists.remove(&id);
                if lists.is_empty() {
                    self.missing_members.remove(&member.uri);
                }
            }
        }
    }

    /// Reads a list anew, with everybody due; a list that is no more ends its subscription.
    pub(crate) fn reload_list(&mut self, now: Now, id: SubscriptionSlot) {
        let brought = list_of(&self.subscriptions, id).map(ListState::listed);
        self.reload_with(now, id, brought.unwrap_or_default());
    }

    /// The same with other members that the watcher brought.
    pub(crate) fn reload_with(&mut self, now: Now, id: SubscriptionSlot, brought: Listed) {
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else { return };
        let watcher = aor_of(Some(subscription.dialog.remote())).map(|named| named.aor());
        let Kind::List(list) = &subscription.kind else { return };
        let source = list.source.clone();
        let Some((name, members)) = self.members_of(now, &source, brought, watcher.as_ref()) else {
            self.end(now, id, crate::subscription::Reason::NoResource);
            return;
        };
        self.detach_members(id);
        if let Some(subscription) = self.subscriptions.get_mut(id.0 as usize)
            && let Kind::List(list) = &mut subscription.kind
        {
            list.name = name;
            list.members = members;
            list.is_full_due = true;
        }
        self.attach_members(id);
        self.tell_of_beginning(now, id);
    }

    /// Lists may have changed: those that `concerns` are read anew and told.
    pub(crate) fn reload_lists(&mut self, now: Now, concerns: impl Fn(&Source) -> bool) {
        let concerned: Vec<SubscriptionSlot> = self
            .list_subscriptions
            .iter()
            .copied()
            .filter(|id| {
                list_of(&self.subscriptions, *id).is_some_and(|list| concerns(&list.source))
            })
            .collect();
        for id in concerned {
            self.reload_list(now, id);
            self.list_changed(now, id);
        }
    }

    /// There is a user who may have been on lists before.
    pub(crate) fn user_appeared(&mut self, now: Now, slot: UserSlot) {
        if self.missing_members.is_empty() {
            return;
        }
        let Some(aor) = self.users.get(slot).map(|user| user.aor.clone()) else { return };
        let lists = self.missing_members.get(aor.as_str()).cloned().unwrap_or_default();
        for id in lists {
            self.reload_list(now, id);
            self.list_changed(now, id);
        }
    }

    /// A user who is on lists is about to go.
    pub(crate) fn user_vanishes(&mut self, now: Now, slot: UserSlot) {
        let Some(user) = self.users.get_mut(slot) else { return };
        let lists = std::mem::take(&mut user.listed_by);
        for (id, _) in lists {
            self.reload_list(now, id);
            self.list_changed(now, id);
        }
    }

    /// What some views of a presentity show has changed: lists that it is on hear.
    pub(crate) fn tell_lists(&mut self, now: Now, slot: UserSlot, changed: &[bool]) {
        let Some(user) = self.users.get(slot) else { return };
        let lists = user.listed_by.clone();
        for (id, index) in lists {
            let Some(list) = list_of_mut(&mut self.subscriptions, id) else { continue };
            let Some(member) = list.members.get_mut(index as usize) else { continue };
            if let Standing::Active(view) = member.standing
                && Views::is_changed(view, changed)
            {
                member.is_due = true;
                self.list_changed(now, id);
            }
        }
    }

    /// Decides anew about a presentity for every list that it is on.
    pub(crate) fn review_lists(&mut self, now: Now, slot: UserSlot, is_crowded: bool) {
        let Some(user) = self.users.get(slot) else { return };
        let lists = user.listed_by.clone();
        for (id, index) in lists {
            let Some(subscription) = self.subscriptions.get(id.0 as usize) else { continue };
            let watcher = aor_of(Some(subscription.dialog.remote())).map(|named| named.aor());
            let standing = self.standing(now, slot, watcher.as_ref());
            let Some(list) = list_of_mut(&mut self.subscriptions, id) else { continue };
            let Some(member) = list.members.get_mut(index as usize) else { continue };
            if member.standing == standing && !is_crowded {
                continue;
            }
            if member.standing == Standing::Rejected {
                member.instance = member.instance.wrapping_add(1);
            }
            let was = std::mem::replace(&mut member.standing, standing);
            member.is_due = true;
            match standing {
                Standing::Rejected => {
                    // What was seen last is what ends.
                    member.standing = was;
                    self.watcher_ended(now, slot, (id, Some(index)), "rejected");
                    if let Some(list) = list_of_mut(&mut self.subscriptions, id)
                        && let Some(member) = list.members.get_mut(index as usize)
                    {
                        member.standing = standing;
                    }
                }
                Standing::Pending | Standing::Active(_) => {
                    if was == Standing::Pending
                        && let Some(subscription) = self.subscriptions.get_mut(id.0 as usize)
                    {
                        subscription.was_pending = true;
                    }
                    self.watcher_changed(now, slot, (id, Some(index)));
                }
            }
            self.list_changed(now, id);
        }
    }

    /// Tells a list's watcher: now, or when the pause after the last NOTIFY is over, or once that
    /// one is answered (RFC 3856 §6.10).
    pub(crate) fn list_changed(&mut self, now: Now, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        if matches!(subscription.state, State::Ending(_)) {
            return;
        }
        subscription.is_behind = true;
        let is_waiting = subscription.in_flight.is_some()
            || subscription.destination().is_none()
            || subscription.state == State::Suspended;
        let nonce = subscription.nonce;
        let Kind::List(list) = &mut subscription.kind else { return };
        if is_waiting {
            return;
        }
        if list.is_rest_due || list.quiet_until <= now.monotonic {
            self.notify_now(now, id);
        } else if !list.is_armed {
            list.is_armed = true;
            let at = list.quiet_until;
            self.deadlines.insert(at, Due::Subscription(id, nonce));
        }
    }

    /// The pause between two NOTIFYs of a list.
    pub(crate) fn list_interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.policy.value(Item::ListInterval)))
    }
}

pub(crate) fn list_of(
    subscriptions: &slab::Slab<crate::subscription::Subscription>,
    id: SubscriptionSlot,
) -> Option<&ListState> {
    match &subscriptions.get(id.0 as usize)?.kind {
        Kind::List(list) => Some(list),
        Kind::Presence | Kind::Winfo(_) | Kind::State(_) => None,
    }
}

pub(crate) fn list_of_mut(
    subscriptions: &mut slab::Slab<crate::subscription::Subscription>,
    id: SubscriptionSlot,
) -> Option<&mut ListState> {
    match &mut subscriptions.get_mut(id.0 as usize)?.kind {
        Kind::List(list) => Some(list),
        Kind::Presence | Kind::Winfo(_) | Kind::State(_) => None,
    }
}

/// What a member that is shown nothing of is told to be.
pub(crate) const fn shown_view(standing: Standing) -> Option<View> {
    match standing {
        Standing::Active(view) => Some(view),
        Standing::Pending | Standing::Rejected => None,
    }
}
