//! Taking up what the store kept, and bringing watchers up to date afterwards.

use std::time::Duration;

use sip::clock::Now;
use sip::transaction::timer;

use crate::event_state::{EventState, Package};
use crate::group::Group;
use crate::node_policy::NodePolicy;
use crate::publication::Publication;
use crate::record::{
    BindingRecord, DeviceRecord, DocumentRecord, EventStateRecord, ListSourceRecord,
    ListSubscriptionRecord, MessageRecord, PackageSubscriptionRecord, PublicationRecord,
    SubscriptionRecord, Table, UserRecord, decode,
};
use crate::registration::Binding;
use crate::resource_list::{ListState, Member, Source};
use crate::server::{Due, Server};
use crate::stored_message::StoredMessage;
use crate::subscription::{Kind, Subscription, SubscriptionSlot};
use crate::user::UserSlot;
use crate::watcher_info::{WINFO, WinfoState};
use crate::xcap::Usage;

/// What came back from the store at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Users.
    pub users: usize,
    /// Bindings that had not expired.
    pub bindings: usize,
    /// Publications that had not expired.
    pub publications: usize,
    /// Subscriptions that had not expired.
    pub subscriptions: usize,
    /// Records whose time had come; they are removed.
    pub expired: usize,
    /// Records that could not be read; they stay on disk and are counted.
    pub unreadable: usize,
}

const STEP: Duration = Duration::from_millis(20);

/// What is gathered while the store is read.
#[derive(Default)]
struct Reading {
    report: RestoreReport,
    /// Users that have been read; they are taken up when the first other record comes.
    accounts: Vec<(String, UserRecord)>,
    subscriptions: Vec<(usize, Subscription)>,
}

impl Server {
    /// Takes up what the store holds; the first input. `walk` calls what it is given with every
    /// record, in the order of their keys. Keys of tables that are not the server's are passed
    /// over.
    ///
    /// # Errors
    /// What `walk` fails with.
    pub fn restore<E>(
        &mut self,
        now: Now,
        walk: impl FnOnce(&mut dyn FnMut(&[u8], &[u8])) -> Result<(), E>,
    ) -> Result<RestoreReport, E> {
        let mut reading = Reading::default();
        walk(&mut |key, value| self.restore_record(now, key, value, &mut reading))?;
        self.restore_users(&mut reading);
        self.adopt(now, reading.subscriptions);
        self.counters.records_unreadable += reading.report.unreadable as u64;
        self.finish(now);
        Ok(reading.report)
    }

    fn restore_record(&mut self, now: Now, key: &[u8], value: &[u8], reading: &mut Reading) {
        let Some(table) = Table::of(key) else { return };
        if table != Table::User && !reading.accounts.is_empty() {
            self.restore_users(reading);
        }
        let outcome = match table {
            Table::User => restore_account(key, value, &mut reading.accounts),
            Table::Binding => self.restore_binding(now, key, value),
            Table::Device => self.restore_device(key, value),
            Table::Document => self.restore_documents(key, value),
            Table::Policy => self.restore_policy(value),
            Table::Group => self.restore_groups(key, value),
            Table::Message => self.restore_message(now, key, value),
            Table::EventState => self.restore_state(now, key, value),
            Table::ListSubscription => {
                self.restore_list(now, key, value, &mut reading.subscriptions)
            }
            Table::PackageSubscription => {
                self.restore_package(now, key, value, &mut reading.subscriptions)
            }
            Table::Publication => self.restore_publication(now, key, value),
            Table::Subscription => self.restore_one(now, key, value, &mut reading.subscriptions),
        };
        let report = &mut reading.report;
        match (outcome, table) {
            (Outcome::Kept, Table::User) => report.users += 1,
            (Outcome::Kept, Table::Binding) => report.bindings += 1,
            (Outcome::Kept, Table::Publication) => report.publications += 1,
            (
                Outcome::Kept,
                Table::Subscription | Table::ListSubscription | Table::PackageSubscription,
            ) => report.subscriptions += 1,
            (Outcome::Kept, _) => {}
            (Outcome::Expired, _) => {
                report.expired += 1;
                self.save(key.to_vec(), None);
            }
            (Outcome::Unreadable, _) => report.unreadable += 1,
        }
    }

    /// Users in the order of their creation, so that a smaller machine serves the first ones.
    fn restore_users(&mut self, reading: &mut Reading) {
        reading.accounts.sort_by_key(|(_, account)| account.order);
        for (id, account) in reading.accounts.drain(..) {
            if self.users.insert(&id, account).is_none() {
                reading.report.users -= 1;
                reading.report.unreadable += 1;
            }
        }
    }

    fn restore_binding(&mut self, now: Now, key: &[u8], value: &[u8]) -> Outcome {
        let Ok(record) = decode::<BindingRecord>(value) else { return Outcome::Unreadable };
        if record.expires_millis <= now.wall.as_millis() {
            return Outcome::Expired;
        }
        let Some(slot) = user_id(key).and_then(|id| self.users.find(id)) else {
            return Outcome::Expired;
        };
        let Some(binding) = Binding::restore(record, now) else { return Outcome::Unreadable };
        let expires = binding.expires;
        if let Some(user) = self.users.get_mut(slot) {
            user.bindings.push(binding);
        }
        self.arm_user(slot, expires);
        Outcome::Kept
    }

    fn restore_device(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        let Ok(record) = decode::<DeviceRecord>(value) else { return Outcome::Unreadable };
        let Some(id) = user_id(key) else { return Outcome::Unreadable };
        let name = key.get(id.len() + 2..).and_then(|name| std::str::from_utf8(name).ok());
        let user = self.users.find(id).and_then(|slot| self.users.get_mut(slot));
        match (name, user) {
            (Some(name), Some(user)) => {
                user.devices.insert(name.to_owned(), record);
                Outcome::Kept
            }
            (None, _) => Outcome::Unreadable,
            (_, None) => Outcome::Expired,
        }
    }

    fn restore_documents(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        let Ok(record) = decode::<DocumentRecord>(value) else { return Outcome::Unreadable };
        let Some(id) = user_id(key) else { return Outcome::Unreadable };
        let usage = key.get(id.len() + 2).and_then(|letter| Usage::of_letter(*letter));
        let name = key.get(id.len() + 4..).and_then(|name| std::str::from_utf8(name).ok());
        match (usage, name, self.users.find(id)) {
            (Some(usage), Some(name), Some(slot)) => {
                self.restore_document(slot, (usage, name.into()), record);
                Outcome::Kept
            }
            (Some(_), Some(_), None) => Outcome::Expired,
            _ => Outcome::Unreadable,
        }
    }

    fn restore_policy(&mut self, value: &[u8]) -> Outcome {
        match decode::<NodePolicy>(value) {
            Ok(policy) => {
                self.policy = policy;
                Outcome::Kept
            }
            Err(_) => Outcome::Unreadable,
        }
    }

    fn restore_publication(&mut self, now: Now, key: &[u8], value: &[u8]) -> Outcome {
        let Ok(record) = decode::<PublicationRecord>(value) else { return Outcome::Unreadable };
        if record.expires_millis <= now.wall.as_millis() {
            return Outcome::Expired;
        }
        let Some(slot) = user_id(key).and_then(|id| self.users.find(id)) else {
            return Outcome::Expired;
        };
        let number = key.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let publication = number
            .and_then(|number| Publication::restore(number, record, now, &self.document_limits));
        let Some(publication) = publication else { return Outcome::Unreadable };
        let (expires, number) = (publication.expires, publication.number);
        if let Some(user) = self.users.get_mut(slot) {
            user.publications.push(publication);
            if u64::from(number) != crate::compositor::MANUAL {
                user.next_publication = user.next_publication.max(number);
            }
        }
        self.arm_user(slot, expires);
        Outcome::Kept
    }

    fn restore_one(
        &mut self,
        now: Now,
        key: &[u8],
        value: &[u8],
        into: &mut Vec<(usize, Subscription)>,
    ) -> Outcome {
        let Ok(record) = decode::<SubscriptionRecord<'_>>(value) else {
            return Outcome::Unreadable;
        };
        if record.expires_millis <= now.wall.as_millis() {
            return Outcome::Expired;
        }
        let index = key.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let Some(presentity) = self.users.find(&record.presentity) else { return Outcome::Expired };
        match (index, self.restore_subscription(now, &record, presentity, Kind::Presence)) {
            (Some(index), Some(subscription)) => {
                into.push((index as usize, subscription));
                Outcome::Kept
            }
            _ => Outcome::Unreadable,
        }
    }

    fn restore_list(
        &mut self,
        now: Now,
        key: &[u8],
        value: &[u8],
        into: &mut Vec<(usize, Subscription)>,
    ) -> Outcome {
        let Ok(record) = decode::<ListSubscriptionRecord<'_>>(value) else {
            return Outcome::Unreadable;
        };
        if record.subscription.expires_millis <= now.wall.as_millis() {
            return Outcome::Expired;
        }
        let index = key.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let mut brought = Vec::new();
        let source = match record.source {
            ListSourceRecord::Service(uri) => uri.parse().ok().map(Source::Service),
            ListSourceRecord::Group(uri) => uri.parse().ok().map(Source::Group),
            ListSourceRecord::Request(listed) => {
                brought = listed;
                Some(Source::Request)
            }
        };
        let Some(source) = source else { return Outcome::Unreadable };
        let list = ListState {
            source,
            uri: record.uri.into_owned(),
            name: None,
            // Found out in full once all users are there.
            members: Member::unknown(brought),
            is_full_due: true,
            is_rest_due: false,
            quiet_until: now.monotonic,
            is_armed: false,
            takes_deflate: record.takes_deflate,
        };
        let (nobody, kind) = (UserSlot(u32::MAX), Kind::List(Box::new(list)));
        match (index, self.restore_subscription(now, &record.subscription, nobody, kind)) {
            (Some(index), Some(subscription)) => {
                into.push((index as usize, subscription));
                Outcome::Kept
            }
            _ => Outcome::Unreadable,
        }
    }

    fn restore_package(
        &mut self,
        now: Now,
        key: &[u8],
        value: &[u8],
        into: &mut Vec<(usize, Subscription)>,
    ) -> Outcome {
        let Ok(record) = decode::<PackageSubscriptionRecord<'_>>(value) else {
            return Outcome::Unreadable;
        };
        let subscription = &record.subscription;
        if subscription.expires_millis <= now.wall.as_millis() {
            return Outcome::Expired;
        }
        let index = key.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let Some(slot) = self.users.find(&subscription.presentity) else {
            return Outcome::Expired;
        };
        let kind = match &*record.package {
            WINFO => Kind::Winfo(Box::new(WinfoState::new())),
            other => match Package::of(other) {
                Some(package) => Kind::State(package),
                None => return Outcome::Unreadable,
            },
        };
        match (index, self.restore_subscription(now, subscription, slot, kind)) {
            (Some(index), Some(subscription)) => {
                into.push((index as usize, subscription));
                Outcome::Kept
            }
            _ => Outcome::Unreadable,
        }
    }

    fn restore_message(&mut self, now: Now, key: &[u8], value: &[u8]) -> Outcome {
        let Ok(record) = decode::<MessageRecord>(value) else { return Outcome::Unreadable };
        if record.expires_millis <= now.wall.as_millis() {
            return Outcome::Expired;
        }
        let Some(slot) = user_id(key).and_then(|id| self.users.find(id)) else {
            return Outcome::Expired;
        };
        let Some(number) = key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes)) else {
            return Outcome::Unreadable;
        };
        self.put_message(now, slot, StoredMessage { number, record });
        Outcome::Kept
    }

    fn restore_state(&mut self, now: Now, key: &[u8], value: &[u8]) -> Outcome {
        let Ok(record) = decode::<EventStateRecord>(value) else { return Outcome::Unreadable };
        if record.expires_millis <= now.wall.as_millis() {
            return Outcome::Expired;
        }
        let Some(slot) = user_id(key).and_then(|id| self.users.find(id)) else {
            return Outcome::Expired;
        };
        let number = key.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let state = number.and_then(|number| EventState::restore(number, record, now));
        let (Some(state), Some(user)) = (state, self.users.get_mut(slot)) else {
            return Outcome::Unreadable;
        };
        let expires = state.expires;
        user.next_state = user.next_state.max(state.number);
        user.event_states.push(state);
        self.arm_user(slot, expires);
        Outcome::Kept
    }

    fn restore_groups(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        let part = key.get(1..).and_then(|part| std::str::from_utf8(part).ok());
        let (Some(part), Ok(group)) = (part, decode::<Group>(value)) else {
            return Outcome::Unreadable;
        };
        if self.restore_group(part, group) { Outcome::Kept } else { Outcome::Unreadable }
    }

    /// Puts restored subscriptions into the slots that their tags name.
    fn adopt(&mut self, now: Now, mut restored: Vec<(usize, Subscription)>) {
        self.restored_dialogs.reserve(restored.len());
        self.resuming.reserve(restored.len());
        for (index, subscription) in &mut restored {
            self.judge_restored(now, subscription);
            let id = SubscriptionSlot(u32::try_from(*index).unwrap_or(u32::MAX));
            if let Some(user) = self.users.get_mut(subscription.presentity) {
                if matches!(subscription.kind, Kind::Winfo(_) | Kind::State(_)) {
                    user.followers.push(id);
                } else {
                    let position = u32::try_from(user.watchers.len());
                    subscription.position = position.unwrap_or(u32::MAX);
                    user.watchers.push(id);
                }
            }
            if let Some(user) = subscription.watcher.and_then(|w| self.users.get_mut(w)) {
                user.watching += 1;
            }
            self.deadlines.insert(subscription.expires, Due::Subscription(id, subscription.nonce));
            self.resuming.push_back((id, subscription.nonce));
            let dialog = &subscription.dialog;
            self.restored_dialogs.insert(dialog.call_id(), dialog.remote(), id);
        }
        let lists: Vec<SubscriptionSlot> = restored
            .iter()
            .filter(|(_, subscription)| matches!(subscription.kind, Kind::List(_)))
            .map(|(index, _)| SubscriptionSlot(u32::try_from(*index).unwrap_or(u32::MAX)))
            .collect();
        self.subscriptions = restored.into_iter().collect();
        for id in lists {
            self.reload_list(now, id);
        }
        let slots: Vec<_> = self.users.iter_after("").map(|(slot, _)| slot).collect();
        for slot in slots {
            self.arm_rules(now, slot);
        }
        if !self.resuming.is_empty() {
            self.deadlines.insert(now.monotonic, Due::Resume);
            self.deadlines.insert(now.monotonic + timer::GIVE_UP, Due::Settled);
        }
    }

    /// Tells the next watchers the full state: whatever the last life left untold, they have it
    /// then. The rest follows a little later, so that the network is not flooded.
    pub(crate) fn resume_some(&mut self, now: Now) {
        let a_second = self.config.limits.restore_notifies_per_second;
        let share = (a_second / 50).max(1);
        for _ in 0..share {
            let Some((id, nonce)) = self.resuming.pop_front() else { return };
            self.resume(now, id, nonce);
        }
        if !self.resuming.is_empty() {
            self.deadlines.insert(now.monotonic + STEP, Due::Resume);
        }
    }
}

fn restore_account(key: &[u8], value: &[u8], accounts: &mut Vec<(String, UserRecord)>) -> Outcome {
    let id = key.get(1..).and_then(|id| std::str::from_utf8(id).ok());
    let (Some(id), Ok(account)) = (id, decode(value)) else { return Outcome::Unreadable };
    accounts.push((id.to_owned(), account));
    Outcome::Kept
}

enum Outcome {
    Kept,
    /// Its time has come, or its user is gone.
    Expired,
    Unreadable,
}

/// The user id in the key of a binding or publication.
fn user_id(key: &[u8]) -> Option<&str> {
    let rest = key.get(1..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}
