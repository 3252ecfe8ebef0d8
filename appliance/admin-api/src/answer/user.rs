//! Users and what was done to them.

use serde::{Deserialize, Serialize};

use crate::answer::presence::{Basic, Publication, Registration};
use crate::refusal::Refusal;
use crate::user_id::UserId;

/// A user, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSummary {
    /// Who.
    pub id: UserId,
    /// The name shown to others.
    pub display_name: Option<String>,
    /// Whether the user may use the service.
    pub is_enabled: bool,
    /// Whether the user can sign in at all.
    pub has_password: bool,
    /// False for an enabled user whom the machine's capacity leaves out.
    pub is_served: bool,
    /// How many bindings there are.
    pub registrations: u32,
    /// What watchers see; absent while nothing is published or registered.
    pub basic: Option<Basic>,
}

/// A user with everything known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetail {
    /// As in the list.
    #[serde(flatten)]
    pub summary: UserSummary,
    /// The address of record.
    pub aor: String,
    /// First name.
    pub given_name: Option<String>,
    /// Family name.
    pub surname: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// Telephone number.
    pub telephone: Option<String>,
    /// When the user was added.
    pub created_unix_ms: u64,
    /// When the user was last changed.
    pub changed_unix_ms: u64,
    /// The directory that the user comes from; none for a local user.
    pub directory: Option<String>,
    /// Devices with credentials of their own, and since when.
    pub devices: Vec<(String, u64)>,
    /// The bindings.
    pub bindings: Vec<Registration>,
    /// The published inputs.
    pub publications: Vec<Publication>,
    /// How many subscriptions watch this user.
    pub watchers: u64,
    /// How many subscriptions this user has.
    pub watching: u64,
}

/// What was done to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserChange {
    /// Added.
    Added,
    /// Removed.
    Deleted,
    /// Enabled; also when it was already.
    Enabled,
    /// Disabled; also when it was already.
    Disabled,
    /// Has a new password.
    PasswordSet,
    /// A device of it has lost its credentials.
    DeviceDeleted,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserChanged {
    /// To whom.
    pub id: UserId,
    /// What.
    pub change: UserChange,
}

/// How an import went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Users added.
    pub created: u64,
    /// Users that were there and are now as their line says (also when nothing differed).
    pub updated: u64,
    /// Every line that was refused, in the file's order.
    pub refused: Vec<RefusedLine>,
}

/// A line of an import that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLine {
    /// The number of the line in the file; the header is line 1.
    pub line: u64,
    /// The id on that line, as far as it could be read (cut to 64 characters).
    pub id: Option<String>,
    /// Why; without any password.
    pub refusal: Refusal,
}
