//! What an administrator or an application asks of the server, and its typed answers.

use std::net::SocketAddr;
use std::time::Duration;

use sip::aor::Aor;
use sip::clock::WallTime;
use sip::digest::Ha1;

use crate::record::Change;

/// What a user proves knowledge of; computed by the edge, off the event loop.
#[derive(Clone)]
pub struct Credentials {
    /// Argon2 hash in PHC form, for sign-in with the plain password.
    pub password_hash: String,
    /// Digest credentials for the realm of this server (RFC 8760).
    pub ha1: Ha1,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// A user as an administrator describes it; `None` leaves what is there.
#[derive(Debug, Clone, Default)]
pub struct UserDraft {
    /// The user part of the AoR.
    pub id: String,
    /// Shown to watchers and administrators.
    pub display_name: Option<String>,
    /// First name.
    pub given_name: Option<String>,
    /// Family name.
    pub surname: Option<String>,
    /// E-mail address.
    pub mail: Option<String>,
    /// Telephone number.
    pub telephone: Option<String>,
    /// Sign-in; without it the user can be watched only.
    pub credentials: Option<Credentials>,
}

/// Where a page of a long list begins and how long it may be.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The last key of the page before; empty for the first.
    pub after: String,
    /// The most entries to return.
    pub limit: usize,
}

/// A question or an order to the server.
#[derive(Debug, Clone)]
pub enum Command {
    /// Add a user that is not there yet.
    AddUser(UserDraft),
    /// Add or update many users; each is judged by itself.
    ImportUsers(Vec<UserDraft>),
    /// Remove a user and everything that belongs to it.
    DeleteUser(String),
    /// Let a user sign in and count towards capacity, or not.
    SetEnabled {
        /// The user.
        id: String,
        /// Enabled from now on.
        enabled: bool,
    },
    /// Replace a user's credentials.
    SetCredentials {
        /// The user.
        id: String,
        /// The new ones.
        credentials: Credentials,
    },
    /// Give a user another id: the account stays, and who was signed in or watched begins anew.
    RenameUser {
        /// The id so far.
        from: String,
        /// The new one.
        to: String,
    },
    /// Give one device of a user credentials of its own, or new ones.
    SetDevice {
        /// The user.
        id: String,
        /// What the user calls the device.
        device: String,
        /// What it proves knowledge of.
        ha1: Ha1,
    },
    /// Take a device's credentials away.
    DeleteDevice {
        /// The user.
        id: String,
        /// The device.
        device: String,
    },
    /// Say by hand how a user is, or take it back.
    SetStatus {
        /// The user.
        id: String,
        /// How; none takes it back.
        status: Option<StatusDraft>,
    },
    /// What one user is shown of another.
    ShowSeen {
        /// Who looks.
        watcher: String,
        /// At whom.
        id: String,
    },
    /// The groups of all directories, which become lists.
    SetGroups(Vec<GroupDraft>),
    /// Who asks something over HTTP, by digest.
    CheckDigest(DigestQuestion),
    /// Do what a client asks by XCAP (RFC 4825).
    Xcap(XcapRequest),
    /// What an administrator decided for the node.
    ShowPolicy,
    /// Decide one thing for the node; without a value, as it usually is.
    SetPolicy {
        /// What.
        name: String,
        /// How.
        value: Option<String>,
    },
    /// Keep records that are not the server's, with the same promise as its own.
    Keep(Vec<Change>),
    /// One user.
    ShowUser(String),
    /// The hash of a user's password.
    ShowPasswordHash(String),
    /// In short how some users are reached, in the order of the question.
    ShowSummaries(Vec<String>),
    /// All users, in order of id.
    ListUsers(Page),
    /// The presence document of a user and what it was composed of.
    ShowPresence(String),
    /// Who watches a user.
    ShowWatchers {
        /// The presentity.
        id: String,
        /// Which part of the list.
        page: Page,
    },
    /// All subscriptions, in order of their index.
    ListSubscriptions(Page),
    /// All bindings, in order of AoR.
    ListRegistrations(Page),
    /// The totals.
    ShowTotals,
}

/// The answer to a [`Command`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// Carried out, and on disk.
    Done,
    /// Refused; nothing was changed.
    Refused(Refusal),
    /// Per draft of an import, in order.
    Imported(Vec<Result<Imported, Refusal>>),
    /// One user.
    User(UserView),
    /// Users; `more` when the list goes on.
    Users(Vec<UserView>, bool),
    /// The hash of a password in PHC form; none where there is no password, or the user is not
    /// served.
    PasswordHash(Option<String>),
    /// How users are reached; none for who is not a user or has nothing registered or published.
    Summaries(Vec<Option<crate::compositor::Summary>>),
    /// What is shown.
    Seen(Seen),
    /// The id of who asks; else the challenges to answer with (none: ask again later).
    Digest(Result<String, Vec<String>>),
    /// What is answered by XCAP.
    Xcap(XcapReply),
    /// What is decided for the node.
    Policy(Vec<PolicyItem>),
    /// One presentity.
    Presence(PresenceView),
    /// Subscriptions; `more` when the list goes on.
    Subscriptions(Vec<SubscriptionView>, bool),
    /// Bindings; `more` when the list goes on.
    Registrations(Vec<BindingView>, bool),
    /// The totals.
    Totals(Totals),
}

/// How a user says to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusDraft {
    /// How; offline for who wants to be shown as not there.
    pub state: crate::compositor::State,
    /// A few words of the user's own.
    pub note: Option<String>,
    /// For how long; none until it is taken back.
    pub lasts: Option<Duration>,
}

/// What one user is shown of another.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `active`, `pending` or `rejected`.
    pub standing: &'static str,
    /// The document, where there is one to be shown.
    pub document: Option<std::sync::Arc<[u8]>>,
}

/// A group of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDraft {
    /// As the directory calls it.
    pub name: String,
    /// Ids of its users.
    pub members: Vec<String>,
}

/// A request over HTTP whose sender may have signed it (RFC 7616).
#[derive(Debug, Clone)]
pub struct DigestQuestion {
    /// Where it came from.
    pub peer: std::net::IpAddr,
    /// Authorization, where there is one.
    pub authorization: Option<String>,
    /// The method.
    pub method: String,
    /// The target, as it stood in the request.
    pub uri: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What an XCAP client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XcapMethod {
    /// Read.
    Get,
    /// Create or replace.
    Put,
    /// Remove.
    Delete,
}

/// A request by XCAP; who asks has proved who it is.
#[derive(Debug, Clone)]
pub struct XcapRequest {
    /// The id of who asks.
    pub caller: String,
    /// What is to be done.
    pub method: XcapMethod,
    /// The path below the XCAP root, with its escapes.
    pub path: String,
    /// The query, with its escapes.
    pub query: Option<String>,
    /// If-Match.
    pub if_match: Option<String>,
    /// If-None-Match.
    pub if_none_match: Option<String>,
    /// Content-Type.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// The answer to an [`XcapRequest`], in the terms of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XcapReply {
    /// The status code.
    pub status: u16,
    /// The media type of the body, where there is one.
    pub content_type: Option<&'static str>,
    /// The entity-tag of the document, in quotes.
    pub etag: Option<String>,
    /// Allow.
    pub allow: Option<&'static str>,
    /// The body.
    pub body: String,
}

impl XcapReply {
    /// An answer of which there is no more to say than its status.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self { status, content_type: None, etag: None, allow: None, body: String::new() }
    }
}

/// One thing that an administrator decides for the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyItem {
    /// What.
    pub name: &'static str,
    /// How it is decided.
    pub value: String,
    /// How it is where nobody decides.
    pub usual: String,
    /// How it may be decided.
    pub allowed: String,
    /// What it is about.
    pub meaning: &'static str,
}

/// What became of a line of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// The user is new.
    Created,
    /// The user was there and has been brought up to date.
    Updated,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such user.
    #[error("there is no user {0}")]
    UnknownUser(String),
    /// The id is taken.
    #[error("user {0} exists already")]
    UserExists(String),
    /// The id cannot be the user part of an AoR.
    #[error("{0:?} cannot be a user id: 1 to 64 letters, digits and - . _ + are allowed")]
    BadUserId(String),
    /// A field is too long or has characters that it must not have.
    #[error("the {field} of user {id} is longer than {limit} characters or has control characters")]
    BadField {
        /// The user.
        id: String,
        /// The field's name.
        field: &'static str,
        /// The most characters it may have.
        limit: usize,
    },
    /// The machine carries no more enabled users.
    #[error("user {id} refused: this machine carries {max_users} enabled users and all are taken")]
    CapacityReached {
        /// The user that was refused.
        id: String,
        /// The limit.
        max_users: u32,
    },
    /// The name of a device is not one.
    #[error("{0:?} cannot be the name of a device: 1 to 32 letters, digits and - . _ are allowed")]
    BadDevice(String),
    /// There is no such device.
    #[error("user {id} has no device {device}")]
    UnknownDevice {
        /// The user.
        id: String,
        /// The device.
        device: String,
    },
    /// The user has as many devices as may be.
    #[error("user {id} has {limit} devices with credentials already")]
    TooManyDevices {
        /// The user.
        id: String,
        /// The most there may be.
        limit: usize,
    },
    /// There is nothing of this name to decide.
    #[error("there is no policy {name}; there is {known}")]
    UnknownPolicy {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// It cannot be decided so.
    #[error("{name} cannot be {value:?}: it is one of {allowed}")]
    BadPolicy {
        /// The policy.
        name: String,
        /// The value given.
        value: String,
        /// What may be given.
        allowed: String,
    },
    /// The disk did not take the change.
    #[error("the change could not be written to disk and was not made")]
    NotStored,
}

/// A user as shown.
#[derive(Debug, Clone)]
pub struct UserView {
    /// The user part of the AoR.
    pub id: String,
    /// The AoR.
    pub aor: Aor,
    /// Display name, empty when none.
    pub display_name: String,
    /// First name, empty when none.
    pub given_name: String,
    /// Family name, empty when none.
    pub surname: String,
    /// E-mail address, empty when none.
    pub mail: String,
    /// Telephone number, empty when none.
    pub telephone: String,
    /// Whether it may sign in.
    pub enabled: bool,
    /// Whether the machine carries it; the first by creation come first.
    pub is_served: bool,
    /// Whether it has a password.
    pub has_password: bool,
    /// Devices with credentials of their own, and since when.
    pub devices: Vec<(String, WallTime)>,
    /// When it was added.
    pub created: WallTime,
    /// When its account was last changed.
    pub changed: WallTime,
    /// Registered contacts.
    pub bindings: usize,
    /// Live publications.
    pub publications: usize,
    /// Subscriptions to this user.
    pub watchers: usize,
    /// Subscriptions of this user.
    pub watching: usize,
}

/// A presentity as shown.
#[derive(Debug, Clone)]
pub struct PresenceView {
    /// The AoR.
    pub aor: Aor,
    /// The composed document, UTF-8.
    pub document: std::sync::Arc<[u8]>,
    /// Its overall state.
    pub summary: crate::compositor::Summary,
    /// What decided how the person is, where something did.
    pub decided_by: Option<String>,
    /// What it was composed of, most recent first.
    pub publications: Vec<PublicationView>,
}

/// One publication as shown.
#[derive(Debug, Clone)]
pub struct PublicationView {
    /// Its present entity-tag.
    pub entity_tag: String,
    /// When it last changed.
    pub modified: WallTime,
    /// Until it expires.
    pub expires_in: Duration,
    /// Where it came from.
    pub source: String,
    /// The published document, UTF-8.
    pub document: std::sync::Arc<[u8]>,
}

/// One subscription as shown.
#[derive(Debug, Clone)]
pub struct SubscriptionView {
    /// Key for paging.
    pub index: u32,
    /// Who watches.
    pub watcher: String,
    /// Who is watched, or the URI of a list.
    pub presentity: String,
    /// `active`, `suspended` (its flow is gone; state follows at the next refresh) or `ending`.
    pub state: &'static str,
    /// Until it expires.
    pub expires_in: Duration,
    /// Where NOTIFYs go.
    pub destination: String,
    /// NOTIFYs sent so far.
    pub notifies: u32,
    /// The dialog's Call-ID.
    pub call_id: String,
    /// CSeq of the last NOTIFY.
    pub notify_cseq: u32,
    /// Whether the watcher has yet to be told of a change.
    pub is_notify_due: bool,
}

/// One binding as shown.
#[derive(Debug, Clone)]
pub struct BindingView {
    /// The AoR.
    pub aor: Aor,
    /// The contact URI.
    pub contact: String,
    /// Preference, in thousandths.
    pub q: u16,
    /// Until it expires.
    pub expires_in: Duration,
    /// Transport of the flow that it came over.
    pub transport: &'static str,
    /// Address that it came from.
    pub source: SocketAddr,
    /// The User-Agent, empty when not told.
    pub user_agent: String,
    /// Contact parameters but `expires`, as registered: q, +sip.instance, capabilities.
    pub parameters: String,
    /// Proxies on the way to the contact, first hop first.
    pub path: Vec<String>,
}

/// The totals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Users, enabled or not.
    pub users: u32,
    /// Users that count towards capacity.
    pub enabled_users: u32,
    /// The limit on enabled users.
    pub max_users: u32,
    /// Enabled users beyond the limit of this machine, that are not served.
    pub unserved_users: u32,
    /// Registered contacts.
    pub bindings: usize,
    /// Live publications.
    pub publications: usize,
    /// Live subscriptions.
    pub subscriptions: usize,
    /// Transactions under way.
    pub transactions: usize,
    /// Calls that were passed on and have no final answer.
    pub ringing_calls: usize,
}
