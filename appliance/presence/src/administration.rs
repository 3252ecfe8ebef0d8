//! Commands of administrators and applications: what they change is on disk before the answer.

use sip::clock::{Now, WallTime};

use crate::command::{
    Answer, Command, Credentials, DigestQuestion, Imported, Page, PresenceView, Refusal, Totals,
    UserDraft, UserView,
};
use crate::compositor::MANUAL;
use crate::device::device_change;
use crate::documents::{Key, StoredDocument, record_key};
use crate::event_state::Package;
use crate::node_policy::NodePolicy;
use crate::output::Ticket;
use crate::publication::Publication;
use crate::record::{Change, DeviceRecord, Table, UserRecord, encode};
use crate::rejection::Rejection;
use crate::server::{Pending, Server};
use crate::subscription::{Reason, SubscriptionSlot};
use crate::user::{User, UserSlot, Users, apply, credentials_record};

/// What is done in memory once the disk has answered.
#[derive(Debug)]
pub(crate) enum Undo {
    /// Stored: nothing. Not stored: these users vanish again, those accounts are put back.
    Put(Vec<(UserSlot, Option<UserRecord>)>),
    /// Stored: the user goes. Not stored: nothing.
    Delete(UserSlot),
    /// Stored: the user signs in no longer. Not stored: it is enabled as before.
    Disable(UserSlot),
    /// Stored: the user under the old id goes. Not stored: the one under the new id does.
    Rename {
        /// Under the old id.
        old: UserSlot,
        /// Under the new one.
        new: UserSlot,
    },
    /// Not stored: the device of this name is as it was.
    Device(UserSlot, String, Option<DeviceRecord>),
    /// Not stored: the document is as it was.
    Document(Box<(UserSlot, Key, Option<StoredDocument>)>),
    /// Not stored: the status is what it was.
    Status(Box<(UserSlot, Option<Publication>)>),
    /// Not stored: what was decided before is decided.
    Policy(Box<NodePolicy>),
}

const PAGE_LIMIT: usize = 1000;

impl Server {
    pub(crate) fn command(&mut self, now: Now, ticket: Ticket, command: Command) {
        let outcome = match command {
            Command::AddUser(draft) => self.add_user(now, ticket, &draft),
            Command::ImportUsers(drafts) => {
                self.import_users(now, ticket, &drafts);
                Ok(None)
            }
            Command::DeleteUser(id) => self.delete_user(ticket, &id),
            Command::SetEnabled { id, enabled } => self.set_enabled(now, ticket, &id, enabled),
            Command::SetCredentials { id, credentials } => {
                self.set_credentials(now, ticket, &id, &credentials)
            }
            Command::RenameUser { from, to } => self.rename_user(now, ticket, &from, &to),
            Command::SetDevice { id, device, ha1 } => {
                self.set_device(now, ticket, &id, &device, ha1)
            }
            Command::DeleteDevice { id, device } => self.delete_device(ticket, &id, &device),
            Command::SetStatus { id, status } => self.set_status(now, ticket, &id, status.as_ref()),
            Command::ShowSeen { watcher, id } => self.seen(now, &watcher, &id).map(Some),
            Command::SetGroups(groups) => {
                self.set_groups(now, ticket, groups);
                Ok(None)
            }
            Command::CheckDigest(question) => Ok(Some(self.check_digest(now, &question))),
            Command::Xcap(request) => Ok(self.xcap(now, ticket, &request)),
            Command::ShowPolicy => Ok(Some(self.show_policy())),
            Command::SetPolicy { name, value } => {
                self.set_policy(now, ticket, &name, value.as_deref())
            }
            Command::Keep(changes) => {
                let pending = (ticket, Undo::Put(Vec::new()), Answer::Done);
                self.commit(changes, Pending::Command(Box::new(pending)));
                Ok(None)
            }
            Command::ShowPasswordHash(id) => {
                Ok(Some(Answer::PasswordHash(self.password_hash(&id))))
            }
            Command::ShowSummaries(ids) => {
                let summary = |id: &String| {
                    let (_, user) = self.known(id).ok()?;
                    let is_there = !user.bindings.is_empty() || !user.publications.is_empty();
                    is_there.then_some(())?;
                    Some(crate::compositor::summary(
                        &crate::publication::inputs(user),
                        &self.policy.order(),
                    ))
                };
                Ok(Some(Answer::Summaries(ids.iter().map(summary).collect())))
            }
            Command::ShowUser(id) => {
                self.known(&id).map(|(_, user)| Some(Answer::User(user_view(user))))
            }
            Command::ListUsers(page) => Ok(Some(self.list_users(&page))),
            Command::ShowPresence(id) => self.show_presence(now, &id).map(Some),
            Command::ShowWatchers { id, page } => self.show_watchers(now, &id, &page).map(Some),
            Command::ListSubscriptions(page) => Ok(Some(self.list_subscriptions(now, &page))),
            Command::ListRegistrations(page) => Ok(Some(self.list_registrations(now, &page))),
            Command::ShowTotals => Ok(Some(Answer::Totals(self.totals()))),
        };
        match outcome {
            Ok(Some(answer)) => self.tell(ticket, answer),
            Ok(None) => {}
            Err(refusal) => self.tell(ticket, Answer::Refused(refusal)),
        }
    }

    pub(crate) fn command_committed(
        &mut self,
        now: Now,
        ticket: Ticket,
        undo: Undo,
        answer: Answer,
        stored: bool,
    ) {
        match (undo, stored) {
            (Undo::Put(_), true) => {}
            (Undo::Delete(slot), false) => {
                if let Some(user) = self.users.get_mut(slot) {
                    user.is_leaving = false;
                }
                self.user_appeared(now, slot);
            }
            (Undo::Put(put), false) => {
                for (slot, account) in put {
                    match account {
                        Some(account) => self.put_account_back(slot, account),
                        None => drop(self.users.remove(slot)),
                    }
                }
            }
            (Undo::Delete(slot), true) => self.forget_user(now, slot),
            (Undo::Rename { old, .. }, true) => self.forget_user(now, old),
            (Undo::Rename { old, new }, false) => {
                self.users.remove(new);
                self.index_again(old, new);
                if let Some(user) = self.users.get_mut(old) {
                    user.is_leaving = false;
                }
            }
            (Undo::Device(..) | Undo::Document(_) | Undo::Policy(_) | Undo::Status(_), true) => {}
            (Undo::Status(undo), false) => {
                let (slot, before) = *undo;
                self.put_status(now, slot, before);
            }
            (Undo::Document(undo), false) => {
                let (slot, key, before) = *undo;
                self.put_document(now, slot, key, before);
            }
            (Undo::Policy(before), false) => {
                self.policy = *before;
                self.policy_changed(now);
            }
            (Undo::Device(slot, device, before), false) => self.put_device(slot, device, before),
            (Undo::Disable(slot), true) => self.sign_off(now, slot),
            (Undo::Disable(slot), false) => self.users.set_enabled(slot, true),
        }
        let answer = if stored { answer } else { Answer::Refused(Refusal::NotStored) };
        self.tell(ticket, answer);
    }

    fn check_digest(&mut self, now: Now, question: &DigestQuestion) -> Answer {
        let outcome =
            self.authentication.authenticate_http(now, question, &self.users, &mut self.counters);
        Answer::Digest(match outcome {
            Ok(slot) => self.users.get(slot).map(|user| user.id.to_string()).ok_or_else(Vec::new),
            Err(Rejection::Unauthenticated { challenges, .. }) => Err(challenges),
            Err(_) => Err(Vec::new()),
        })
    }

    /// The numbers of what there is.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let users = || self.users.iter_after("").map(|(_, user)| user);
        Totals {
            users: u32::try_from(self.users.len()).unwrap_or(u32::MAX),
            enabled_users: self.users.enabled(),
            max_users: self.config.limits.max_users,
            unserved_users: self.users.unserved(),
            bindings: users().map(|user| user.bindings.len()).sum(),
            publications: users().map(|user| user.publications.len()).sum(),
            subscriptions: self.subscriptions.len(),
            transactions: self.layer.len(),
            ringing_calls: self.routing.ringing_calls(),
        }
    }

    /// Enabled users that this machine does not carry, by id.
    pub fn unserved_users(&self) -> impl Iterator<Item = &str> {
        self.users
            .iter_after("")
            .filter(|(_, user)| user.account.enabled && !user.is_served)
            .map(|(_, user)| &*user.id)
    }

    pub(crate) fn known(&self, id: &str) -> Result<(UserSlot, &User), Refusal> {
        let slot = self.users.find(id);
        let known = slot.and_then(|slot| Some((slot, self.users.get(slot)?)));
        known
            .filter(|(_, user)| !user.is_leaving)
            .ok_or_else(|| Refusal::UnknownUser(id.to_owned()))
    }

    fn add_user(
        &mut self,
        now: Now,
        ticket: Ticket,
        draft: &UserDraft,
    ) -> Result<Option<Answer>, Refusal> {
        if self.users.find(&draft.id).is_some() {
            return Err(Refusal::UserExists(draft.id.clone()));
        }
        let (slot, change) = self.put_new(now, draft)?;
        let undo = Undo::Put(vec![(slot, None)]);
        self.commit(vec![change], Pending::Command(Box::new((ticket, undo, Answer::Done))));
        Ok(None)
    }

    fn put_new(&mut self, now: Now, draft: &UserDraft) -> Result<(UserSlot, Change), Refusal> {
        Users::check(draft)?;
        self.users.admit(&draft.id)?;
        let account = self.users.new_account(draft, now.wall);
        let change = account_change(&draft.id, &account);
        let slot = self
            .users
            .insert(&draft.id, account)
            .ok_or_else(|| Refusal::BadUserId(draft.id.clone()))?;
        self.user_appeared(now, slot);
        Ok((slot, change))
    }

    fn put_changed(
        &mut self,
        now: Now,
        slot: UserSlot,
        draft: &UserDraft,
    ) -> Result<(UserRecord, Change), Refusal> {
        Users::check(draft)?;
        let user = self.users.get_mut(slot).filter(|user| !user.is_leaving);
        let user = user.ok_or_else(|| Refusal::UnknownUser(draft.id.clone()))?;
        let before = user.account.clone();
        apply(&mut user.account, draft);
        user.account.changed_millis = now.wall.as_millis();
        Ok((before, account_change(&draft.id, &user.account)))
    }

    fn import_users(&mut self, now: Now, ticket: Ticket, drafts: &[UserDraft]) {
        let mut results = Vec::with_capacity(drafts.len());
        let mut changes = Vec::with_capacity(drafts.len());
        let mut put = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let result = match self.users.find(&draft.id) {
                Some(slot) => self.put_changed(now, slot, draft).map(|(before, change)| {
                    put.push((slot, Some(before)));
                    changes.push(change);
                    Imported::Updated
                }),
                None => self.put_new(now, draft).map(|(slot, change)| {
                    put.push((slot, None));
                    changes.push(change);
                    Imported::Created
                }),
            };
            results.push(result);
        }
        let answer = Answer::Imported(results);
        if changes.is_empty() {
            self.tell(ticket, answer);
        } else {
            // The last change of an account undoes first.
            put.reverse();
            self.commit(changes, Pending::Command(Box::new((ticket, Undo::Put(put), answer))));
        }
    }

    fn delete_user(&mut self, ticket: Ticket, id: &str) -> Result<Option<Answer>, Refusal> {
        let (slot, _) = self.known(id)?;
        let changes = self.leave(slot, id);
        let pending = Pending::Command(Box::new((ticket, Undo::Delete(slot), Answer::Done)));
        self.commit(changes, pending);
        Ok(None)
    }

    /// Marks a user as about to go: what is removed from the store for that.
    pub(crate) fn leave(&mut self, slot: UserSlot, id: &str) -> Vec<Change> {
        let mut changes = vec![Change { key: Table::User.key(&[id.as_bytes()]), value: None }];
        if let Some(user) = self.users.get_mut(slot) {
            user.is_leaving = true;
            changes.extend(user.devices.keys().map(|device| device_change(id, device, None)));
            changes.extend(self.mailbox_removed(slot, id));
        }
        if let Some(user) = self.users.get(slot) {
            let documents = user.documents.all.keys();
            changes.extend(documents.map(|key| Change { key: record_key(id, key), value: None }));
        }
        changes
    }

    fn set_enabled(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: &str,
        enabled: bool,
    ) -> Result<Option<Answer>, Refusal> {
        let (slot, user) = self.known(id)?;
        if user.account.enabled == enabled {
            return Ok(Some(Answer::Done));
        }
        let before = user.account.clone();
        if enabled {
            self.users.admit(id)?;
        }
        self.users.set_enabled(slot, enabled);
        if let Some(user) = self.users.get_mut(slot) {
            user.account.changed_millis = now.wall.as_millis();
        }
        let (_, user) = self.known(id)?;
        let change = account_change(id, &user.account);
        let undo =
            if enabled { Undo::Put(vec![(slot, Some(before))]) } else { Undo::Disable(slot) };
        self.commit(vec![change], Pending::Command(Box::new((ticket, undo, Answer::Done))));
        Ok(None)
    }

    fn set_credentials(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: &str,
        credentials: &Credentials,
    ) -> Result<Option<Answer>, Refusal> {
        let (slot, user) = self.known(id)?;
        let before = user.account.clone();
        let mut account = before.clone();
        account.credentials = Some(credentials_record(credentials));
        account.changed_millis = now.wall.as_millis();
        let change = account_change(id, &account);
        if let Some(user) = self.users.get_mut(slot) {
            user.account = account;
        }
        let undo = Undo::Put(vec![(slot, Some(before))]);
        self.commit(vec![change], Pending::Command(Box::new((ticket, undo, Answer::Done))));
        Ok(None)
    }

    fn put_account_back(&mut self, slot: UserSlot, account: UserRecord) {
        self.users.set_enabled(slot, account.enabled);
        if let Some(user) = self.users.get_mut(slot) {
            user.account = account;
        }
    }

    /// Ends everything that a user does: it is disabled, or about to go.
    fn sign_off(&mut self, now: Now, slot: UserSlot) {
        self.remove_bindings(slot, |_| true);
        self.remove_publications(slot, |_, _| true);
        let packages = self.remove_states(slot, |_, _| true);
        self.tell_watchers(now, slot);
        for package in packages.into_iter().chain([Package::Reg]) {
            self.state_changed(now, slot, package);
        }
        let held: Vec<SubscriptionSlot> = self
            .subscriptions
            .iter()
            .filter(|(_, subscription)| subscription.watcher == Some(slot))
            .filter_map(|(index, _)| Some(SubscriptionSlot(u32::try_from(index).ok()?)))
            .collect();
        for id in held {
            self.end(now, id, Reason::Deactivated);
        }
    }

    fn forget_user(&mut self, now: Now, slot: UserSlot) {
        let watchers: Vec<SubscriptionSlot> = self
            .users
            .get(slot)
            .map(|user| user.watchers.iter().chain(&user.followers).copied().collect())
            .unwrap_or_default();
        for id in watchers {
            self.end(now, id, Reason::NoResource);
        }
        self.sign_off(now, slot);
        self.user_vanishes(now, slot);
        self.services.retain(|_, (owner, _)| *owner != slot);
        self.orphan(slot);
        self.users.remove(slot);
    }

    /// Subscriptions that still send their last NOTIFY must not point at a slot that a new user
    /// may get.
    fn orphan(&mut self, slot: UserSlot) {
        for (_, subscription) in &mut self.subscriptions {
            if subscription.presentity == slot {
                subscription.presentity = UserSlot(u32::MAX);
            }
            if subscription.watcher == Some(slot) {
                subscription.watcher = None;
            }
        }
    }

    fn list_users(&self, page: &Page) -> Answer {
        let limit = page.limit.clamp(1, PAGE_LIMIT);
        let mut users = self.users.iter_after(&page.after).map(|(_, user)| user_view(user));
        let list = users.by_ref().take(limit).collect();
        Answer::Users(list, users.next().is_some())
    }

    fn show_presence(&mut self, now: Now, id: &str) -> Result<Answer, Refusal> {
        let (slot, _) = self.known(id)?;
        let document = self.document(slot).unwrap_or_else(|| [].into());
        let (_, user) = self.known(id)?;
        let mut publications: Vec<_> = user.publications.iter().collect();
        publications.sort_by_key(|publication| std::cmp::Reverse(publication.modified));
        let inputs = crate::publication::inputs(user);
        let summary = crate::compositor::summary(&inputs, &self.policy.order());
        let decided_by = summary.decided_by.map(|key| match key {
            MANUAL => "what the user has set".to_owned(),
            0 => "a document of pidf-manipulation".to_owned(),
            key => user
                .publications
                .iter()
                .find(|publication| u64::from(publication.number) == key)
                .map_or_else(String::new, |publication| publication.view(now).source),
        });
        Ok(Answer::Presence(PresenceView {
            aor: user.aor.clone(),
            document,
            summary,
            decided_by,
            publications: publications.iter().map(|p| p.view(now)).collect(),
        }))
    }

    fn show_watchers(&self, now: Now, id: &str, page: &Page) -> Result<Answer, Refusal> {
        let (_, user) = self.known(id)?;
        let mut slots = user.watchers.clone();
        slots.extend(user.listed_by.iter().map(|(list, _)| *list));
        slots.sort_unstable();
        Ok(self.subscription_page(now, page, slots.into_iter()))
    }

    fn list_subscriptions(&self, now: Now, page: &Page) -> Answer {
        let slots = self
            .subscriptions
            .iter()
            .filter_map(|(index, _)| Some(SubscriptionSlot(u32::try_from(index).ok()?)));
        self.subscription_page(now, page, slots)
    }

    fn subscription_page(
        &self,
        now: Now,
        page: &Page,
        slots: impl Iterator<Item = SubscriptionSlot>,
    ) -> Answer {
        let limit = page.limit.clamp(1, PAGE_LIMIT);
        let after: Option<u32> = page.after.parse().ok();
        let mut views = slots
            .filter(|slot| after.is_none_or(|after| slot.0 > after))
            .filter_map(|slot| Some((slot, self.subscriptions.get(slot.0 as usize)?)))
            .map(|(slot, subscription)| {
                let user = self.users.get(subscription.presentity);
                subscription.view(slot, user.map_or("", |user| user.aor.as_str()), now)
            });
        let list = views.by_ref().take(limit).collect();
        Answer::Subscriptions(list, views.next().is_some())
    }

    /// Bindings by user; a page may run over its limit by the bindings of its last user.
    fn list_registrations(&self, now: Now, page: &Page) -> Answer {
        let limit = page.limit.clamp(1, PAGE_LIMIT);
        let mut list = Vec::new();
        for (_, user) in self.users.iter_after(&page.after) {
            if user.bindings.is_empty() {
                continue;
            }
            if list.len() >= limit {
                return Answer::Registrations(list, true);
            }
            list.extend(user.bindings.iter().map(|binding| binding.view(user, now)));
        }
        Answer::Registrations(list, false)
    }
}

pub(crate) fn account_change(id: &str, account: &UserRecord) -> Change {
    Change { key: Table::User.key(&[id.as_bytes()]), value: Some(encode(account)) }
}

fn user_view(user: &User) -> UserView {
    let account = &user.account;
    UserView {
        id: user.id.to_string(),
        aor: user.aor.clone(),
        display_name: account.display_name.clone(),
        given_name: account.given_name.clone(),
        surname: account.surname.clone(),
        mail: account.mail.clone(),
        telephone: account.telephone.clone(),
        enabled: account.enabled,
        is_served: user.is_served,
        has_password: account.credentials.is_some(),
        devices: user
            .devices
            .iter()
            .map(|(name, device)| (name.clone(), WallTime::from_millis(device.created_millis)))
            .collect(),
        created: WallTime::from_millis(account.created_millis),
        changed: WallTime::from_millis(account.changed_millis),
        bindings: user.bindings.len(),
        publications: user.publications.len(),
        watchers: user.watchers.len(),
        watching: user.watching as usize,
    }
}
