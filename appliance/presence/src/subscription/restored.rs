//! Subscriptions over a restart: taken up from the store, told full state, recognised again.

use sip::clock::{Now, WallTime};
use sip::flow::Destination;
use sip::header::cseq::CSeq;
use sip::header::name_addr::NameAddr;
use sip::message::{HeaderAccess, Request};
use sip::{slot_token, uri};

use super::{State, Subscription, SubscriptionSlot, Way};
use crate::authentication::aor_of;
use crate::dialog::{self, Dialog};
use crate::output::SaveSequence;
use crate::reach::{self, Reach};
use crate::record::SubscriptionRecord;
use crate::server::Server;

/// What the watcher's half of a dialog is known by.
pub(crate) fn dialog_key(call_id: &str, remote: &str) -> String {
    let remote = NameAddr::parse(remote).ok();
    format!("{call_id} {}", remote.as_ref().and_then(NameAddr::tag).unwrap_or_default())
}

impl Server {
    /// The tag of the dialog that this SUBSCRIBE made before a restart swallowed its answer.
    pub(super) fn repeated(&self, request: &Request) -> Option<String> {
        if self.restored_dialogs.is_empty() {
            return None;
        }
        let headers = &request.headers;
        let key = dialog_key(headers.value("Call-ID")?, headers.value("From")?);
        let (id, nonce) = self.restored_dialogs.get(&key).copied()?;
        let cseq = CSeq::parse(headers.value("CSeq")?).ok()?;
        let subscription = self.subscriptions.get(id.0 as usize)?;
        (subscription.nonce == nonce && subscription.remote_cseq == cseq.number)
            .then(|| slot_token::text(id.0, nonce))
    }

    /// Takes a subscription up that the store kept. Its watcher gets full state in due course.
    pub(crate) fn restore_subscription(
        &mut self,
        now: Now,
        record: &SubscriptionRecord<'_>,
    ) -> Option<Subscription> {
        let presentity = self.users.find(&record.presentity)?;
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
        let watcher = aor_of(Some(&record.remote)).and_then(|aor| self.served_user(&aor));
        Some(Subscription {
            nonce: record.nonce,
            presentity,
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
            in_flight: None,
            is_behind: true,
            is_stored: true,
            saved: SaveSequence::default(),
            notifies: 0,
        })
    }

    /// Finds out anew how to reach a restored watcher, and tells it the full state.
    pub(crate) fn resume(&mut self, now: Now, id: SubscriptionSlot, nonce: u64) {
        let Some(subscription) =
            self.subscriptions.get(id.0 as usize).filter(|s| s.nonce == nonce && s.is_behind)
        else {
            return;
        };
        let reach = if subscription.dialog.routes().next().is_some() {
            self.routed_reach(id)
        } else if let Ok(target) = uri::parse(subscription.dialog.target()) {
            // A connection did not outlive the process: only a datagram flow still leads back.
            if subscription.flow.transport.is_reliable() {
                reach::away_from_flow(&target, None)
            } else {
                reach::towards(&target, &subscription.flow, subscription.is_direct)
            }
        } else {
            Reach::Nowhere
        };
        self.direct(now, id, reach);
    }
}
