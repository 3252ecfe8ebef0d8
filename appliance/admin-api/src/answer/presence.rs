//! Presence, registrations, publications and subscriptions as an administrator sees them.

use serde::{Deserialize, Serialize};

use crate::user_id::UserId;

/// Whether someone or something can be reached (RFC 3863 `basic`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basic {
    /// Can be reached.
    Open,
    /// Cannot be reached.
    Closed,
}

/// What watchers who may see everything are told about a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who.
    pub id: UserId,
    /// The address of record.
    pub aor: String,
    /// Open when any device is.
    pub basic: Basic,
    /// How the person is over all: `available`, `phone`, `away`.
    pub state: String,
    /// What decided that, where something did.
    pub decided_by: Option<String>,
    /// RPID activities of the person: `on-the-phone`, `away`.
    pub activities: Vec<String>,
    /// Notes of the person and of the document, as published.
    pub notes: Vec<String>,
    /// The tuples of the composed document.
    pub devices: Vec<DevicePresence>,
    /// The inputs that were composed.
    pub publications: Vec<Publication>,
    /// The composed document itself (`application/pidf+xml`).
    pub document_xml: String,
}

/// One tuple of a presence document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePresence {
    /// The tuple's id.
    pub tuple: String,
    /// The device (RFC 4479 `deviceID`), when told.
    pub device: Option<String>,
    /// Whether it can be reached.
    pub basic: Basic,
    /// Where it can be reached.
    pub contact: Option<String>,
    /// The means that it offers (RFC 5196): `audio`, `video`, `text`.
    pub means: Vec<String>,
    /// The first note of the tuple.
    pub note: Option<String>,
}

/// One published input (RFC 3903).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The event package: `presence`.
    pub package: String,
    /// The entity-tag under which the client refreshes it.
    pub entity_tag: String,
    /// How long until it ends, unless refreshed.
    pub expires_in_s: u64,
    /// The size of its body.
    pub size_bytes: u64,
    /// When it was published or last modified.
    pub changed_unix_ms: Option<u64>,
    /// Where it came from: `udp 192.0.2.7:5060`.
    pub source: Option<String>,
}

/// One binding of an address of record (RFC 3261 §10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Whose.
    pub id: UserId,
    /// The contact URI.
    pub contact: String,
    /// The contact's preference, 0 to 1000.
    pub q_thousandths: u16,
    /// How long until it ends, unless refreshed.
    pub expires_in_s: u64,
    /// When it was made or last refreshed.
    pub refreshed_unix_ms: Option<u64>,
    /// Where it came from: `tcp 192.0.2.7:41234`.
    pub source: Option<String>,
    /// `User-Agent` of the client.
    pub user_agent: Option<String>,
    /// RFC 3840 capabilities, as registered: `audio`, `video`, `methods="INVITE,MESSAGE"`.
    pub capabilities: Vec<String>,
    /// The `Path` (RFC 3327), nearest proxy first.
    pub path: Vec<String>,
}

/// The state of a subscription (RFC 6665 §4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// The watcher is told.
    Active,
    /// The watcher waits for permission.
    Pending,
    /// It is over, and the last NOTIFY is under way.
    Terminated,
}

/// One subscription: someone watching someone or something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The address of record that is watched.
    pub presentity: String,
    /// Who watches.
    pub watcher: String,
    /// The event package: `presence`.
    pub package: String,
    /// How it stands.
    pub state: SubscriptionState,
    /// How long until it ends, unless refreshed.
    pub expires_in_s: u64,
    /// When it was made.
    pub since_unix_ms: Option<u64>,
    /// Where NOTIFYs go: `udp 192.0.2.7:5060`.
    pub destination: Option<String>,
    /// The dialog's Call-ID.
    pub call_id: String,
    /// CSeq of the last NOTIFY.
    pub notify_cseq: u32,
    /// Whether the watcher has yet to be told of a change.
    pub is_notify_due: bool,
}
