//! Who may see what of a presentity: presence authorization rules (RFC 4745, RFC 5025, and the
//! conditions that OMA adds to them).
//!
//! All rules of a document that match are combined; each permission only ever adds to what is
//! seen. What is not known never matches and never grants.

pub mod condition;
pub mod permissions;
pub mod ruleset;
pub mod view;

use sip::aor::Aor;
use sip::clock::WallTime;

pub use self::permissions::Permissions;
pub use self::ruleset::{InvalidRules, Ruleset};

/// What is to be done with a subscription (RFC 5025 §3.2.1), in rising order of what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Handling {
    /// Refuse it.
    #[default]
    Block,
    /// Keep it pending until the presentity has decided.
    Confirm,
    /// Show that the presentity is unavailable, whatever is so.
    PoliteBlock,
    /// Show what the permissions grant.
    Allow,
}

/// The outcome for one watcher.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// What is done with the subscription.
    pub handling: Handling,
    /// What is shown when it is allowed.
    pub permissions: Permissions,
}

impl Decision {
    /// Everything is shown.
    #[must_use]
    pub fn allow_all() -> Self {
        Self { handling: Handling::Allow, permissions: Permissions::all() }
    }
}

/// The circumstances that conditions speak of.
pub struct Circumstances<'a> {
    /// The authenticated watcher; none who asks without an identity.
    pub watcher: Option<&'a Aor>,
    /// Civil time.
    pub now: WallTime,
    /// The sphere that the presentity says it is in (RFC 5025 §3.1.2).
    pub sphere: Option<&'a str>,
    /// Whether the list of the presentity that a URI names has a member.
    pub is_listed: &'a dyn Fn(&str, &Aor) -> bool,
}

impl std::fmt::Debug for Circumstances<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Circumstances")
            .field("watcher", &self.watcher)
            .field("now", &self.now)
            .field("sphere", &self.sphere)
            .finish_non_exhaustive()
    }
}

/// The namespaces of rules.
pub(crate) mod namespace {
    pub(crate) const COMMON: &str = "urn:ietf:params:xml:ns:common-policy";
    pub(crate) const PRES_RULES: &str = "urn:ietf:params:xml:ns:pres-rules";
    pub(crate) const OMA_COMMON: &str = "urn:oma:xml:xdm:common-policy";
    pub(crate) const OMA_RULES: &str = "urn:oma:xml:prs:pres-rules";
    pub(crate) const OMA_PIDF: &str = "urn:oma:xml:prs:pidf:oma-pres";
    pub(crate) const GEOPRIV: &str = "urn:ietf:params:xml:ns:pidf:geopriv10";
}
