//! The users of a node and the one place where capacity is checked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::quality::FixedState;
use sip::aor::Aor;
use sip::clock::{Instant, WallTime};
use sip::digest::Ha1;
use slab::Slab;

use crate::authorization::Views;
use crate::command::{Credentials, Refusal, UserDraft};
use crate::documents::Documents;
use crate::event_state::EventState;
use crate::publication::Publication;
use crate::record::{CredentialsRecord, DeviceRecord, UserRecord};
use crate::registration::Binding;
use crate::stored_message::Mailbox;
use crate::subscription::SubscriptionSlot;
use crate::watcher_info::Waiting;

/// Names a user for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UserSlot(pub(crate) u32);

/// A user: account, bindings, publications and watchers.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: Box<str>,
    pub(crate) aor: Aor,
    pub(crate) account: UserRecord,
    /// Enabled, and within what the machine carries.
    pub(crate) is_served: bool,
    /// Its deletion waits for the disk: commands find it no longer, and its id stays taken.
    pub(crate) is_leaving: bool,
    /// Devices with credentials of their own, by name.
    pub(crate) devices: BTreeMap<String, DeviceRecord>,
    /// What it keeps by XCAP.
    pub(crate) documents: Documents,
    /// Messages that wait for it.
    pub(crate) mailbox: Mailbox,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) publications: Vec<Publication>,
    pub(crate) next_publication: u32,
    /// State of other packages that it published.
    pub(crate) event_states: Vec<EventState>,
    pub(crate) next_state: u32,
    /// Its calls that are known to have ended.
    pub(crate) ended_calls: VecDeque<String>,
    pub(crate) watchers: Vec<SubscriptionSlot>,
    /// Subscriptions to other packages about this user.
    pub(crate) followers: Vec<SubscriptionSlot>,
    /// Watchers who waited in vain.
    pub(crate) waiting: Waiting,
    /// Lists that it is on: the subscription, and which member it is.
    pub(crate) listed_by: Vec<(SubscriptionSlot, u32)>,
    /// The document composed last.
    pub(crate) document: Option<Arc<[u8]>>,
    /// What watchers see who may not see everything.
    pub(crate) views: Views,
    /// The document has to be composed anew.
    pub(crate) is_stale: bool,
    /// When bindings and publications will be looked at for expiry.
    pub(crate) armed: Option<Instant>,
    /// Subscriptions that this user holds to others.
    pub(crate) watching: u32,
}

impl User {
    /// What a request may prove knowledge of: the user's password, or a device's.
    pub(crate) fn ha1s(&self) -> impl Iterator<Item = Ha1> {
        let own = self.account.credentials.as_ref();
        own.map(|own| Ha1 { md5: own.ha1_md5, sha256: own.ha1_sha256 }).into_iter().chain(
            self.devices
                .values()
                .map(|device| Ha1 { md5: device.ha1_md5, sha256: device.ha1_sha256 }),
        )
    }
}

/// The users of this node.
#[derive(Debug)]
pub(crate) struct Users {
    domain: String,
    max_users: u32,
    slots: Slab<User>,
    /// In order, for lists.
    by_id: BTreeMap<Box<str>, UserSlot>,
    /// For every request.
    index: HashMap<Box<str>, UserSlot, FixedState>,
    next_order: u64,
    enabled: u32,
}

const FIELD_LIMIT: usize = 128;
const ID_LIMIT: usize = 64;

impl Users {
    pub(crate) fn new(domain: &str, max_users: u32, seed: u64) -> Self {
        Self {
            domain: domain.to_ascii_lowercase(),
            max_users,
            slots: Slab::new(),
            by_id: BTreeMap::new(),
            index: HashMap::with_hasher(FixedState::with_seed(seed)),
            next_order: 0,
            enabled: 0,
        }
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) const fn enabled(&self) -> u32 {
        self.enabled
    }

    pub(crate) fn unserved(&self) -> u32 {
        self.enabled.saturating_sub(self.max_users)
    }

    pub(crate) fn find(&self, id: &str) -> Option<UserSlot> {
        self.index.get(id).copied()
    }

    pub(crate) fn get(&self, slot: UserSlot) -> Option<&User> {
        self.slots.get(slot.0 as usize)
    }

    pub(crate) fn get_mut(&mut self, slot: UserSlot) -> Option<&mut User> {
        self.slots.get_mut(slot.0 as usize)
    }

    /// Users in order of id, beginning behind `after`.
    pub(crate) fn iter_after<'a>(
        &'a self,
        after: &'a str,
    ) -> impl Iterator<Item = (UserSlot, &'a User)> {
        self.by_id
            .range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
            .filter_map(|(_, slot)| Some((*slot, self.get(*slot)?)))
    }

    /// Whether one more enabled user may be admitted: every way in asks here.
    pub(crate) fn admit(&self, id: &str) -> Result<(), Refusal> {
        if self.enabled < self.max_users {
            return Ok(());
        }
        Err(Refusal::CapacityReached { id: id.to_owned(), max_users: self.max_users })
    }

    /// Checks the form of an id.
    pub(crate) fn check_id(id: &str) -> Result<(), Refusal> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
        if id.is_empty() || id.len() > ID_LIMIT || !id.chars().all(allowed) {
            return Err(Refusal::BadUserId(id.to_owned()));
        }
        Ok(())
    }

    /// Checks the form of a draft.
    pub(crate) fn check(draft: &UserDraft) -> Result<(), Refusal> {
        Self::check_id(&draft.id)?;
        let fields = [
            ("display-name", &draft.display_name),
            ("given-name", &draft.given_name),
            ("surname", &draft.surname),
            ("mail", &draft.mail),
            ("telephone", &draft.telephone),
        ];
        for (field, value) in fields {
            if let Some(text) = value
                && (text.chars().count() > FIELD_LIMIT || text.chars().any(char::is_control))
            {
                let id = draft.id.clone();
                return Err(Refusal::BadField { id, field, limit: FIELD_LIMIT });
            }
        }
        Ok(())
    }

    /// What the account of a new user will be.
    pub(crate) fn new_account(&mut self, draft: &UserDraft, now: WallTime) -> UserRecord {
        let order = self.next_order;
        self.next_order += 1;
        let mut account = UserRecord {
            enabled: true,
            created_millis: now.as_millis(),
            changed_millis: now.as_millis(),
            order,
            ..UserRecord::default()
        };
        apply(&mut account, draft);
        account
    }

    /// Takes a user up; the caller has asked [`Self::admit`], or restores what was admitted.
    pub(crate) fn insert(&mut self, id: &str, account: UserRecord) -> Option<UserSlot> {
        let aor = format!("sip:{id}@{}", self.domain).parse::<Aor>().ok()?;
        self.next_order = self.next_order.max(account.order + 1);
        let is_served = account.enabled && self.enabled < self.max_users;
        self.enabled += u32::from(account.enabled);
        let slot = self.slots.insert(User {
            id: id.into(),
            aor,
            account,
            is_served,
            is_leaving: false,
            devices: BTreeMap::new(),
            documents: Documents::default(),
            mailbox: Mailbox::default(),
            bindings: Vec::new(),
            publications: Vec::new(),
            next_publication: 0,
            event_states: Vec::new(),
            next_state: 0,
            ended_calls: VecDeque::new(),
            watchers: Vec::new(),
            followers: Vec::new(),
            waiting: Waiting::default(),
            listed_by: Vec::new(),
            document: None,
            views: Views::default(),
            is_stale: true,
            armed: None,
            watching: 0,
        });
        let slot = UserSlot(u32::try_from(slot).ok()?);
        self.by_id.insert(id.into(), slot);
        self.index.insert(id.into(), slot);
        Some(slot)
    }

    pub(crate) fn remove(&mut self, slot: UserSlot) -> Option<User> {
        let user = self.slots.try_remove(slot.0 as usize)?;
        self.by_id.remove(&user.id);
        self.index.remove(&user.id);
        self.enabled -= u32::from(user.account.enabled);
        if user.is_served {
            self.serve_next();
        }
        Some(user)
    }

    pub(crate) fn set_enabled(&mut self, slot: UserSlot, enabled: bool) {
        let (max_users, count) = (self.max_users, self.enabled);
        let Some(user) = self.get_mut(slot) else { return };
        if user.account.enabled == enabled {
            return;
        }
        let was_served = user.is_served;
        user.account.enabled = enabled;
        user.is_served = enabled && count < max_users;
        if enabled {
            self.enabled += 1;
        } else {
            self.enabled -= 1;
            if was_served {
                self.serve_next();
            }
        }
    }

    /// A place has come free: the first user by creation that waits for one gets it.
    fn serve_next(&mut self) {
        let waiting = |user: &&mut User| user.account.enabled && !user.is_served;
        let next = self.slots.iter_mut().map(|(_, user)| user).filter(waiting);
        if let Some(user) = next.min_by_key(|user| user.account.order) {
            user.is_served = true;
        }
    }
}

/// Brings an account up to date with what a draft tells.
pub(crate) fn apply(account: &mut UserRecord, draft: &UserDraft) {
    let fields = [
        (&mut account.display_name, &draft.display_name),
        (&mut account.given_name, &draft.given_name),
        (&mut account.surname, &draft.surname),
        (&mut account.mail, &draft.mail),
        (&mut account.telephone, &draft.telephone),
    ];
    for (field, value) in fields {
        if let Some(value) = value {
            field.clone_from(value);
        }
    }
    if let Some(credentials) = &draft.credentials {
        account.credentials = Some(credentials_record(credentials));
    }
}

/// The durable form of credentials.
pub(crate) fn credentials_record(credentials: &Credentials) -> CredentialsRecord {
    CredentialsRecord {
        password_hash: credentials.password_hash.clone(),
        ha1_md5: credentials.ha1.md5,
        ha1_sha256: credentials.ha1.sha256,
    }
}
