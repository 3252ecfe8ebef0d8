//! The durable form of state: keys, values and changes, one encoding for disk and replication.
//!
//! A key is a table letter and the key inside the table. A value is a format number and a
//! postcard body. This program reads format [`FORMAT`] and the one before it, if there is one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sip::flow::{ConnectionId, Flow};

/// The format written.
pub const FORMAT: u8 = 1;

/// One change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Table letter, then the key inside the table.
    pub key: Vec<u8>,
    /// The new value; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

/// The tables, by letter; keys of other letters belong to the edge and are left alone. Users come
/// first, so that everything else finds its user when a store is read from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// Users by id.
    User = b'a',
    /// Bindings by user id and contact.
    Binding = b'b',
    /// Messages that wait, by user id and number.
    Message = b'm',
    /// Publications by user id and number.
    Publication = b'p',
    /// Digest credentials of single devices, by user id and the device's name.
    Device = b'd',
    /// Documents that users keep, by user id, usage and name.
    Document = b'h',
    /// Groups of directories, by the user part of their URI.
    Group = b'f',
    /// What an administrator decided for the node.
    Policy = b'c',
    /// Published state of other packages, by user id and number.
    EventState = b'q',
    /// Subscriptions by slot.
    Subscription = b's',
    /// Subscriptions to lists, by slot.
    ListSubscription = b't',
    /// Subscriptions to other packages, by slot.
    PackageSubscription = b'w',
}

impl Table {
    /// The table that a key belongs to.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        [
            Self::User,
            Self::Binding,
            Self::Policy,
            Self::Device,
            Self::Group,
            Self::Document,
            Self::Message,
            Self::Publication,
            Self::EventState,
            Self::Subscription,
            Self::ListSubscription,
            Self::PackageSubscription,
        ]
        .into_iter()
        .find(|table| key.first() == Some(&(*table as u8)))
    }

    /// A key of this table.
    #[must_use]
    pub fn key(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = vec![self as u8];
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                key.push(0);
            }
            key.extend_from_slice(part);
        }
        key
    }
}

/// A record could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a program that is newer than this one, or damaged.
    #[error("format {0} is not known to this version")]
    Format(u8),
    /// The body does not fit its format.
    #[error("the record is damaged")]
    Damaged,
}

/// A value in the format written.
#[must_use]
pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    // A Vec takes whatever it is given, so there is nothing to fail.
    let mut value = Vec::with_capacity(256);
    value.push(FORMAT);
    postcard::to_extend(record, value).unwrap_or_default()
}

/// The record of a value.
///
/// # Errors
/// When the format is unknown or the body damaged.
pub fn decode<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, Unreadable> {
    match value.split_first() {
        Some((&FORMAT, body)) => postcard::from_bytes(body).map_err(|_| Unreadable::Damaged),
        Some((&format, _)) => Err(Unreadable::Format(format)),
        None => Err(Unreadable::Damaged),
    }
}

/// A user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UserRecord {
    pub(crate) display_name: String,
    pub(crate) given_name: String,
    pub(crate) surname: String,
    pub(crate) mail: String,
    pub(crate) telephone: String,
    pub(crate) enabled: bool,
    pub(crate) created_millis: u64,
    pub(crate) changed_millis: u64,
    /// Users are served in this order when the machine carries fewer than there are.
    pub(crate) order: u64,
    pub(crate) credentials: Option<CredentialsRecord>,
}

/// What a user proves knowledge of.
#[derive(Clone, Serialize, Deserialize)]
pub struct CredentialsRecord {
    pub(crate) password_hash: String,
    pub(crate) ha1_md5: [u8; 16],
    pub(crate) ha1_sha256: [u8; 32],
}

impl std::fmt::Debug for CredentialsRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialsRecord")
    }
}

/// What one device of a user proves knowledge of.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceRecord {
    pub(crate) created_millis: u64,
    pub(crate) ha1_md5: [u8; 16],
    pub(crate) ha1_sha256: [u8; 32],
}

impl std::fmt::Debug for DeviceRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceRecord")
    }
}

/// A document that a user keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DocumentRecord {
    pub(crate) etag: u64,
    pub(crate) changed_millis: u64,
    pub(crate) text: String,
}

/// A message that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Who sent it, without a tag.
    pub(crate) from: String,
    /// The headers that travel with the body.
    pub(crate) headers: Vec<(String, String)>,
    #[serde(serialize_with = "in_one_piece")]
    pub(crate) body: Vec<u8>,
    pub(crate) stored_millis: u64,
    pub(crate) expires_millis: u64,
}

/// A binding.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BindingRecord {
    pub(crate) contact: String,
    pub(crate) parameters: String,
    pub(crate) q: u16,
    pub(crate) expires_millis: u64,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) path: Vec<String>,
    pub(crate) flow: FlowRecord,
    pub(crate) is_direct: bool,
    pub(crate) user_agent: String,
}

/// Writes octets as a sequence of them would be written, but all at once.
fn in_one_piece<S: serde::Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(octets)
}

/// A publication.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicationRecord {
    pub(crate) entity_tag: String,
    #[serde(serialize_with = "in_one_piece")]
    pub(crate) document: Vec<u8>,
    pub(crate) modified_millis: u64,
    pub(crate) expires_millis: u64,
    pub(crate) call_id: String,
    pub(crate) user_agent: String,
    pub(crate) source: String,
}

/// Published state of another package than presence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventStateRecord {
    pub(crate) package: String,
    pub(crate) entity_tag: String,
    #[serde(serialize_with = "in_one_piece")]
    pub(crate) body: Vec<u8>,
    pub(crate) modified_millis: u64,
    pub(crate) expires_millis: u64,
    pub(crate) call_id: String,
}

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubscriptionRecord<'a> {
    pub(crate) nonce: u64,
    #[serde(borrow)]
    pub(crate) presentity: Cow<'a, str>,
    pub(crate) expires_millis: u64,
    /// NOTIFYs up to this CSeq may have been sent.
    pub(crate) cseq_reserved: u32,
    pub(crate) remote_cseq: u32,
    /// The watcher's Contact.
    #[serde(borrow)]
    pub(crate) target: Cow<'a, str>,
    pub(crate) routes: Vec<String>,
    /// The watcher's id, when it is a user of this node.
    #[serde(borrow)]
    pub(crate) watcher: Option<Cow<'a, str>>,
    /// Without the tag, which the slot and the nonce make.
    #[serde(borrow)]
    pub(crate) local: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) remote: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) call_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) event_id: Option<Cow<'a, str>>,
    pub(crate) flow: FlowRecord,
    pub(crate) is_direct: bool,
}

/// A subscription to a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListSubscriptionRecord<'a> {
    #[serde(borrow)]
    pub(crate) subscription: SubscriptionRecord<'a>,
    /// The URI subscribed to.
    #[serde(borrow)]
    pub(crate) uri: Cow<'a, str>,
    pub(crate) source: ListSourceRecord,
    pub(crate) takes_deflate: bool,
}

/// A subscription to another package than presence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackageSubscriptionRecord<'a> {
    #[serde(borrow)]
    pub(crate) subscription: SubscriptionRecord<'a>,
    #[serde(borrow)]
    pub(crate) package: Cow<'a, str>,
}

/// Where a list comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ListSourceRecord {
    Service(String),
    Group(String),
    Request(Vec<(String, Option<String>)>),
}

/// A flow; its connection does not outlive the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowRecord {
    pub(crate) transport: String,
    pub(crate) local: std::net::SocketAddr,
    pub(crate) peer: std::net::SocketAddr,
}

impl From<&Flow> for FlowRecord {
    fn from(flow: &Flow) -> Self {
        Self {
            transport: flow.transport.uri_token().to_owned(),
            local: flow.local,
            peer: flow.peer,
        }
    }
}

impl FlowRecord {
    /// The flow, without its connection; `None` when the transport is unknown.
    pub(crate) fn flow(&self) -> Option<Flow> {
        Some(Flow {
            transport: self.transport.parse().ok()?,
            local: self.local,
            peer: self.peer,
            connection: ConnectionId::default(),
        })
    }
}
