//! Directories (LDAP): how they are set, how they were read, and who is found in them.

use serde::{Deserialize, Serialize};

use crate::answer::presence::Basic;
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::user_id::UserId;

/// The most names of one kind that a report carries; it counts all of them.
pub const MOST_NAMES: usize = 1_000;
/// The most people that one page has.
pub const MOST_PEOPLE: u32 = 100;

/// What an administrator changes about a directory; what is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryChange {
    /// `openldap`, `ad`, `adlds` or `389`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Servers, `HOST` or `HOST:PORT`, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<Vec<String>>,
    /// `ldaps`, `starttls` or `plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// Certificates that are believed, PEM; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_pem: Option<String>,
    /// SHA-256 fingerprints of certificates that are believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<Vec<String>>,
    /// The account that reads; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_dn: Option<String>,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The entry below which people are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// `subtree` or `one`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Which entries are people (RFC 4515); empty for what is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// `FIELD=ATTRIBUTE` for each that is not the usual one; `FIELD=` leaves a field out. They
    /// replace those that were set before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<String>>,
    /// Which entries are groups that become lists; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_filter: Option<String>,
    /// Minutes from one synchronisation to the next; 0 for only when asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_minutes: Option<u32>,
    /// Hours until the user of a vanished entry is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_hours: Option<u32>,
}

/// A directory as it is set, and how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// What the administrator calls it.
    pub name: String,
    /// Whose product it is.
    pub kind: String,
    /// Servers in the order in which they are tried.
    pub servers: Vec<String>,
    /// How the connection is kept from others.
    pub security: String,
    /// Fingerprints of the certificates that are believed, and of those that were given.
    pub trusted: Vec<String>,
    /// The account that reads.
    pub bind_dn: Option<String>,
    /// Whether its password is known.
    pub has_password: bool,
    /// The entry below which people are.
    pub base: String,
    /// `subtree` or `one`.
    pub scope: String,
    /// Which entries are people.
    pub filter: String,
    /// Fields and the attributes that they are read from.
    pub attributes: Vec<(String, String)>,
    /// Which entries are groups that become lists.
    pub group_filter: Option<String>,
    /// Minutes from one synchronisation to the next; 0 for only when asked.
    pub every_minutes: u32,
    /// Hours until the user of a vanished entry is deleted.
    pub grace_hours: u32,
    /// What is missing before it can be read.
    pub lacks: Option<String>,
    /// Users that come from it.
    pub users: u64,
    /// People of it who are no users.
    pub waiting: u64,
    /// Users whose entries have vanished, and who are not deleted yet.
    pub gone: u64,
    /// Groups of it.
    pub groups: u64,
    /// Whether it is read now.
    pub is_reading: bool,
    /// How the next reading finds what has changed.
    pub method: String,
    /// When it was last read to the end.
    pub read_unix_ms: Option<u64>,
    /// Why it could not be read the last time.
    pub failure: Option<Refusal>,
}

/// How the trial of one server went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTrial {
    /// The server.
    pub server: String,
    /// Why it cannot be used.
    pub refusal: Option<Refusal>,
    /// People on its first page.
    pub people: u64,
    /// Whether there are more.
    pub is_more: bool,
    /// Entries that match the filter and cannot be users: which, and why.
    pub unusable: Names,
    /// One of the people: fields and values.
    pub sample: Vec<(String, String)>,
    /// Fields that nobody there has.
    pub absent: Vec<String>,
}

/// Names, cut at [`MOST_NAMES`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub names: Vec<String>,
}

impl Names {
    /// Adds one.
    pub fn add(&mut self, name: String) {
        self.count += 1;
        if self.names.len() < MOST_NAMES {
            self.names.push(name);
        }
    }
}

/// What a synchronisation did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// The directory.
    pub directory: String,
    /// Whether nothing was done.
    pub is_preview: bool,
    /// The server that was read.
    pub server: String,
    /// Whether everything was read, not only what has changed.
    pub is_full: bool,
    /// Entries that were read.
    pub read: u64,
    /// How long it took.
    pub took_ms: u64,
    /// New users.
    pub added: Names,
    /// Users that were local and belong to the directory now.
    pub adopted: Names,
    /// Users of whom something has changed.
    pub changed: Names,
    /// Users with a new id, `OLD to NEW`.
    pub renamed: Names,
    /// Users who are back.
    pub returned: Names,
    /// Users whose entries have vanished: they cannot sign in any longer.
    pub disabled: Names,
    /// Users whose entries vanished long ago.
    pub deleted: Names,
    /// People who are no users, and why.
    pub refused: Names,
    /// Entries that match the filter and cannot be users, and why.
    pub unusable: Names,
    /// People about whom nothing has changed.
    pub unchanged: u64,
    /// References to other servers, which are not followed.
    pub references: u64,
    /// Why vanished people were not disabled, where they were not.
    pub held_back: Option<String>,
}

/// Who is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeopleQuery {
    /// Words, all of which must be found; case and accents do not matter.
    pub text: String,
    /// Only in this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How many are passed over.
    #[serde(default)]
    pub offset: u32,
    /// How many are wanted, at most [`MOST_PEOPLE`].
    pub limit: u32,
}

/// Who was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// How many there are in all.
    pub total: u64,
    /// The page.
    pub people: Vec<Person>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user part of the address of record, if a user.
    pub id: UserId,
    /// The name to show.
    pub display_name: String,
    /// The directory; none for a local user.
    pub directory: Option<String>,
    /// Whether the person is a user of this node.
    pub is_user: bool,
    /// What watchers see; absent while nothing is published or registered.
    pub basic: Option<Basic>,
    /// What else is known: fields and values.
    pub fields: Vec<(String, Vec<String>)>,
}

/// A group that became a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The URI to subscribe to.
    pub uri: String,
    /// The directory.
    pub directory: String,
    /// Its members, through other groups too.
    pub members: Vec<UserId>,
}

/// New credentials of a device: shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCredentials {
    /// The user.
    pub id: UserId,
    /// The device.
    pub device: String,
    /// The realm of the digest: the domain.
    pub realm: String,
    /// The password to type into the device.
    pub password: Secret,
}
