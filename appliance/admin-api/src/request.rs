//! Every question that the CLI may put to the presence daemon.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::log::LogLevel;
use crate::directory::{DirectoryChange, PeopleQuery};
use crate::page::PageRequest;
use crate::secret::Secret;
use crate::user_id::UserId;

/// The most lines (header included) that one import may have; more are refused as `too_large`.
pub const MAX_IMPORT_LINES: usize = 20_000;

/// The most log lines one answer carries; a larger `limit` is brought down to it.
pub const MAX_LOG_LINES: u32 = 2_000;

/// The longest that [`LogQuery::wait_ms`] makes the daemon wait; more is brought down to it.
pub const MAX_LOG_WAIT_MS: u64 = 30_000;

/// A question. Each variant says which [`Answer`](crate::answer::Answer) it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How the node is doing → `Answer::Status`.
    ShowStatus,
    /// What is installed → `Answer::Version`.
    ShowVersion,
    /// What machine this is and how that was found out → `Answer::Hardware`.
    ShowHardware,
    /// Limits and how much of them is used → `Answer::Capacity`.
    ShowCapacity,
    /// Users in order of id → `Answer::Users`.
    ShowUsers {
        /// Which part.
        page: PageRequest,
        /// Only ids that begin so (ASCII case ignored); Tab completion asks this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id_prefix: Option<String>,
    },
    /// One user with devices and publications → `Answer::User`.
    ShowUser {
        /// Who.
        id: UserId,
    },
    /// What watchers are told about one user → `Answer::Presence`.
    ShowPresence {
        /// Who.
        id: UserId,
    },
    /// Who is watching one user → `Answer::Subscriptions`.
    ShowWatchers {
        /// Who is watched.
        id: UserId,
        /// Which part.
        page: PageRequest,
    },
    /// All subscriptions → `Answer::Subscriptions`.
    ShowSubscriptions {
        /// Which part.
        page: PageRequest,
    },
    /// All bindings → `Answer::Registrations`.
    ShowRegistrations {
        /// Which part.
        page: PageRequest,
    },
    /// Alarms that stand, and those that ended a short while ago → `Answer::Alarms`.
    ShowAlarms,
    /// Has a snapshot of the store made → `Answer::SnapshotTaken`, once it is on disk.
    TakeSnapshot,
    /// Everything support asks for first, without secrets → `Answer::TechSupport`.
    ShowTechSupport,
    /// All settings with their values and where these come from → `Answer::Settings`.
    ShowSettings,
    /// The SIP side: domain, listeners, trusted peers → `Answer::Sip`.
    ShowSip,
    /// The domain that is served → `Answer::Domain`.
    ShowDomain,
    /// The parts of the daemon and how they run → `Answer::Services`.
    ListServices,
    /// The logs there are to read → `Answer::Logs`.
    ListLogs,
    /// Lines of a log → `Answer::LogLines`.
    ReadLog(LogQuery),
    /// How much is logged, per area → `Answer::LogLevels`.
    ShowLogLevels,
    /// Log this area from this level on, at once → `Answer::LogLevels`.
    SetLogLevel {
        /// One of the areas that `ShowLogLevels` names, or `default` for the default level.
        area: String,
        /// The least severe level that is logged.
        level: LogLevel,
    },
    /// Log this area as the default says, at once → `Answer::LogLevels`.
    UnsetLogLevel {
        /// One of the areas that `ShowLogLevels` names, or `default` for the built-in default.
        area: String,
    },
    /// What is decided for the whole node → `Answer::Policy`.
    ShowPolicy,
    /// Decide one thing for the node, in force at once → `Answer::Policy` with all of it.
    SetPolicy {
        /// What, as `ShowPolicy` names it.
        name: String,
        /// How; none for as it usually is.
        value: Option<String>,
    },
    /// The directories, in order of name → `Answer::Directories`.
    ShowDirectories,
    /// Set up a directory, or change one → `Answer::Directories` with that one.
    SetDirectory {
        /// What it is called.
        name: String,
        /// What changes.
        change: Box<DirectoryChange>,
    },
    /// Forget a directory; its users stay as local ones → `Answer::Directories`.
    UnsetDirectory {
        /// Which.
        name: String,
    },
    /// Try each server of a directory → `Answer::DirectoryTested`.
    TestDirectory {
        /// Which.
        name: String,
    },
    /// Read a directory and bring the users up to date → `Answer::DirectorySynced`.
    SyncDirectory {
        /// Which.
        name: String,
        /// Everything, not only what has changed.
        is_full: bool,
        /// Even when most people have vanished.
        is_forced: bool,
        /// Only say what would be done.
        is_preview: bool,
    },
    /// Look for people → `Answer::People`.
    FindPeople(PeopleQuery),
    /// One person with everything known → `Answer::Person`.
    ShowPerson {
        /// Who.
        id: UserId,
    },
    /// Groups that became lists, in order of name → `Answer::Groups`.
    ShowGroups,
    /// Make credentials for one device of a user, in place of those it had → `Answer::Device`.
    SetDevice {
        /// Whose.
        id: UserId,
        /// What the device is called.
        device: String,
    },
    /// Take a device's credentials away → `Answer::UserChanged`.
    DeleteDevice {
        /// Whose.
        id: UserId,
        /// The device.
        device: String,
    },
    /// Add a user, enabled → `Answer::UserChanged`.
    AddUser(NewUser),
    /// Remove a user with bindings, publications and subscriptions → `Answer::UserChanged`.
    DeleteUser {
        /// Who.
        id: UserId,
    },
    /// Let a user in again → `Answer::UserChanged`.
    EnableUser {
        /// Who.
        id: UserId,
    },
    /// Keep a user out, and the data → `Answer::UserChanged`.
    DisableUser {
        /// Who.
        id: UserId,
    },
    /// Replace a user's password → `Answer::UserChanged`.
    SetUserPassword {
        /// Whose.
        id: UserId,
        /// The new password.
        password: Secret,
    },
    /// Add and change users line by line; a bad line does not stop the others →
    /// `Answer::Imported`.
    ImportUsers {
        /// CSV (RFC 4180) in UTF-8. Its first line names the columns, in any order, of `id`
        /// (required), `display-name`, `given-name`, `surname`, `mail`, `telephone`, `password`.
        /// An empty field leaves an existing user's value as it is.
        csv: Secret,
    },
}

/// A user to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The id, which becomes the user part of the address of record.
    pub id: UserId,
    /// The name shown to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surname: Option<String>,
    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telephone: Option<String>,
    /// Without a password the user cannot sign in, but can be watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

/// Which lines of a log are wanted. All given filters must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// The log, as `ListLogs` names it.
    pub log: String,
    /// Given: the **oldest** matching lines after this sequence number (0: from the beginning),
    /// to page forward. Absent: the **newest** matching lines. Oldest first in the answer
    /// either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_sequence: Option<u64>,
    /// How many lines at most, 1 to [`MAX_LOG_LINES`].
    pub limit: u32,
    /// Only lines of this level or a more severe one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_level: Option<LogLevel>,
    /// Only lines of this area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// Only lines whose text contains this, letter case ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// With `after_sequence`: when no line matches, wait up to this long for one; then answer
    /// with none. At most [`MAX_LOG_WAIT_MS`]. A daemon that has too many waiting answers early.
    #[serde(default)]
    pub wait_ms: u64,
}

impl Request {
    /// How long a client should wait for the answer.
    #[must_use]
    pub fn answer_within(&self) -> Duration {
        const USUAL: Duration = Duration::from_secs(30);
        match self {
            // Every password is hashed on purpose slowly.
            Self::ImportUsers { .. } => Duration::from_secs(3_600),
            Self::TakeSnapshot | Self::TestDirectory { .. } => Duration::from_secs(600),
            Self::SyncDirectory { .. } => Duration::from_secs(1_800),
            Self::ReadLog(query) => {
                USUAL + Duration::from_millis(query.wait_ms.min(MAX_LOG_WAIT_MS))
            }
            _ => USUAL,
        }
    }
}
