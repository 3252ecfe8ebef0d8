//! Event packages other than presence: `dialog` (RFC 4235) and `message-summary` (RFC 3842), whose
//! state is published, and `reg` (RFC 3680), whose state is the bindings.
//!
//! One document is told for all publications of a user. Of a dialog that two of them tell of, the
//! one that has ended wins, whatever came last: a lamp that stays lit is worse than one that is
//! dark too early.

mod body;
mod publish;

use sip::aor::Aor;
use sip::clock::Now;
use sip::header::media_type::Accept;
use sip::message::HeaderAccess;

pub(crate) use self::publish::EventState;
use crate::authentication::{Identity, aor_of};
use crate::authorization::{Standing, View};
use crate::rejection::Rejection;
use crate::server::{Incoming, Server};
use crate::subscription::{Beginning, Kind};
use crate::user::UserSlot;

/// A package whose state is told whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Package {
    /// Calls.
    Dialog,
    /// Messages in a mailbox.
    MessageSummary,
    /// Bindings.
    Reg,
}

impl Package {
    const ALL: [Self; 3] = [Self::Dialog, Self::MessageSummary, Self::Reg];

    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Dialog => "dialog",
            Self::MessageSummary => "message-summary",
            Self::Reg => "reg",
        }
    }

    pub(crate) fn of(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|package| package.token() == token)
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Dialog => "application/dialog-info+xml",
            Self::MessageSummary => "application/simple-message-summary",
            Self::Reg => "application/reginfo+xml",
        }
    }

    const fn subtype(self) -> &'static str {
        match self {
            Self::Dialog => "dialog-info+xml",
            Self::MessageSummary => "simple-message-summary",
            Self::Reg => "reginfo+xml",
        }
    }
}

impl Server {
    /// SUBSCRIBE to the state of one of these packages.
    pub(crate) fn subscribe_state(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        identity: Identity,
        package: Package,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        let event = crate::publication::event_of(request)?;
        let watcher = self.watcher(request, identity)?;
        let accepts = request.headers.value("Accept").is_none()
            || Accept::from_values(request.headers.values("Accept"))
                .is_ok_and(|accept| accept.accepts("application", package.subtype()));
        if !accepts {
            return Err(Rejection::NotAcceptable);
        }
        let from: Option<Aor> = aor_of(request.headers.value("From")).map(|named| named.aor());
        let (view, is_pending) = match package {
            // Calls are shown to whom presence is (RFC 4235 §3.6).
            Package::Dialog => match self.standing(now, slot, from.as_ref()) {
                Standing::Rejected => {
                    return Err(Rejection::Forbidden("Subscription Not Allowed"));
                }
                Standing::Pending => (View::UNAVAILABLE, true),
                Standing::Active(view) => (view, false),
            },
            // Mailbox and bindings are nobody else's business.
            Package::MessageSummary | Package::Reg if watcher != Some(slot) => {
                return Err(Rejection::Forbidden("Only Your Own"));
            }
            Package::MessageSummary | Package::Reg => (View::ALL, false),
        };
        let kind = Kind::State(package);
        let beginning = Beginning { presentity: slot, kind, view, is_pending };
        self.begin(now, incoming, &event, watcher, beginning)
    }

    /// The state of a package has changed: who follows it is told.
    pub(crate) fn state_changed(&mut self, now: Now, slot: UserSlot, package: Package) {
        let Some(user) = self.users.get(slot) else { return };
        let concerned: Vec<_> = user
            .followers
            .iter()
            .copied()
            .filter(|id| {
                let subscription = self.subscriptions.get(id.0 as usize);
                subscription.is_some_and(|s| {
                    !s.is_pending && matches!(s.kind, Kind::State(other) if other == package)
                })
            })
            .collect();
        for id in concerned {
            self.notify_change(now, id);
        }
    }
}
