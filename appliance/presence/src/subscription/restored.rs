//! Subscriptions over a restart: taken up from the store, told full state, recognised again.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;
use sip::clock::{Now, WallTime};
use sip::flow::Destination;
use sip::header::cseq::CSeq;
use sip::message::{HeaderAccess, Request};
use sip::{slot_token, uri};

use super::{Kind, State, Subscription, SubscriptionSlot, Way};
use crate::authentication::aor_of;
use crate::authorization::{Standing, View};
use crate::conditional::Suppress;
use crate::dialog::{self, Dialog};
use crate::output::SaveSequence;
use crate::reach::{self, Reach};
use crate::record::SubscriptionRecord;
use crate::server::Server;
use crate::user::UserSlot;

/// Restored dialogs by a digest of what the watcher's half of each is known by.
#[derive(Debug)]
pub(crate) struct RestoredDialogs {
    hasher: FixedState,
    slots: HashMap<u64, SubscriptionSlot, FixedState>,
}

impl RestoredDialogs {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self { slots: HashMap::with_hasher(hasher.clone()), hasher }
    }

    pub(crate) fn reserve(&mut self, count: usize) {
        self.slots.reserve(count);
    }

    pub(crate) fn insert(&mut self, call_id: &str, remote: &str, id: SubscriptionSlot) {
        self.slots.insert(self.digest(call_id, remote), id);
    }

    pub(crate) fn clear(&mut self) {
        self.slots = HashMap::with_hasher(self.hasher.clone());
    }

    fn find(&self, call_id: &str, remote: &str) -> Option<SubscriptionSlot> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots.get(&self.digest(call_id, remote)).copied()
    }

    fn digest(&self, call_id: &str, remote: &str) -> u64 {
        self.hasher.hash_one((call_id, remote))
    }
}

impl Server {
    /// The tag of the dialog that this SUBSCRIBE made before a restart swallowed its answer.
    pub(crate) fn repeated(&self, request: &Request) -> Option<String> {
        let headers = &request.headers;
        let (call_id, remote) = (headers.value("Call-ID")?, headers.value("From")?);
        let id = self.restored_dialogs.find(call_id, remote)?;
        let subscription = self.subscriptions.get(id.0 as usize)?;
        let cseq = CSeq::parse(headers.value("CSeq")?).ok()?;
        // A repeated request is the same to the letter.
        let is_same = subscription.dialog.call_id() == call_id
            && subscription.dialog.remote() == remote
            && subscription.remote_cseq == cseq.number;
        is_same.then(|| slot_token::text(id.0, subscription.nonce))
    }

    /// Takes a subscription up that the store kept. Its watcher gets full state in due course.
    pub(crate) fn restore_subscription(
        &mut self,
        now: Now,
        record: &SubscriptionRecord<'_>,
        presentity: UserSlot,
        kind: Kind,
    ) -> Option<Subscription> {
        let flow = record.flow.flow()?;
        let parts = dialog::Parts {
            target: &record.target,
            local: &record.local,
            remote: &record.remote,
            call_id: &record.call_id,
            event_id: record.event_id.as_deref(),
            routes: &record.routes,
        };
        let sent_by = self.layer.sent_by(&Destination::Flow(flow));
        let dialog = Dialog::new(&parts, self.ways_out.sent_by(flow.transport, sent_by))?;
        let expires_wall = WallTime::from_millis(record.expires_millis);
        let expires = now.monotonic + expires_wall.since(now.wall);
        let watcher = record.watcher.as_deref().and_then(|id| self.users.find(id));
        Some(Subscription {
            nonce: record.nonce,
            presentity,
            kind,
            watcher,
            position: 0,
            expires,
            armed: expires,
            cseq: record.cseq_reserved,
            cseq_reserved: record.cseq_reserved,
            remote_cseq: record.remote_cseq,
            dialog,
            way: Way::Unknown,
            flow,
            is_direct: record.is_direct,
            state: State::Active,
            view: View::ALL,
            is_pending: false,
            was_pending: false,
            suppress: Suppress::default(),
            in_flight: None,
            is_behind: true,
            is_stored: true,
            saved: SaveSequence::default(),
            notifies: 0,
        })
    }

    /// Decides anew about a restored subscription: the rules may have changed with the version.
    pub(crate) fn judge_restored(&mut self, now: Now, subscription: &mut Subscription) {
        if !matches!(subscription.kind, Kind::Presence) {
            return;
        }
        let watcher = aor_of(Some(subscription.dialog.remote())).map(|named| named.aor());
        match self.standing(now, subscription.presentity, watcher.as_ref()) {
            // One that is rejected now learns it when its turn comes to be told.
            Standing::Rejected | Standing::Pending => subscription.is_pending = true,
            Standing::Active(view) => subscription.view = view,
        }
    }

    /// Finds out anew how to reach a restored watcher, and tells it the full state.
    pub(crate) fn resume(&mut self, now: Now, id: SubscriptionSlot, nonce: u64) {
        let is_due = |s: &&Subscription| s.nonce == nonce && s.is_behind;
        if let Some(subscription) = self.subscriptions.get(id.0 as usize).filter(is_due) {
            if subscription.is_pending {
                self.review_one(now, subscription.presentity, id);
            }
            let reach = self.way_back(id);
            self.direct(now, id, reach);
        }
    }

    /// How to reach a watcher that was last heard of before the restart.
    pub(super) fn way_back(&self, id: SubscriptionSlot) -> Reach {
        let Some(subscription) = self.subscriptions.get(id.0 as usize) else {
            return Reach::Nowhere;
        };
        if subscription.dialog.routes().next().is_some() {
            return self.routed_reach(id);
        }
        let Ok(target) = uri::parse(subscription.dialog.target()) else { return Reach::Nowhere };
        // A connection did not outlive the process: only a datagram flow still leads back.
        if subscription.flow.transport.is_reliable() {
            reach::away_from_flow(&target, None)
        } else {
            reach::towards(&target, &subscription.flow, subscription.is_direct)
        }
    }
}
