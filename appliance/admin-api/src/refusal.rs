//! What a daemon says when it will not or cannot do as asked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a refusal, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The line is no request of this protocol.
    Malformed,
    /// The line is longer than the protocol allows, or asks for too much at once.
    TooLarge,
    /// The request is of a version that the daemon does not speak.
    UnsupportedVersion,
    /// The caller may not ask this.
    NotPermitted,
    /// There is no such user.
    UnknownUser,
    /// There is such a user already.
    UserExists,
    /// The text cannot be a user id.
    InvalidId,
    /// A value is outside what is allowed.
    InvalidValue,
    /// The password is empty, too short or too long.
    UnacceptablePassword,
    /// The machine's capacity is used up.
    CapacityExceeded,
    /// There is no such log, or no such log area.
    UnknownLog,
    /// The CSV text as a whole cannot be read; single bad lines are in the report instead.
    UnreadableImport,
    /// The appliance is not set up yet.
    NotSetUp,
    /// The appliance was set up before.
    AlreadySetUp,
    /// It cannot be done in the state that things are in.
    NotNow,
    /// There is no such file, key, tool or service.
    NotFound,
    /// The machine did not do as it was told.
    PlatformFailed,
    /// A directory does not do what is wanted of it.
    DirectoryFailed,
    /// The machine is below the smallest supported; services do not run.
    NotServing,
    /// The daemon has too much to do right now.
    Busy,
    /// The change could not be written to disk; nothing has changed.
    StoreFailed,
    /// The daemon is stopping.
    Stopping,
    /// A fault of the daemon.
    Internal,
}

/// Why something was not done: what happened, where, and what to do next. One sentence each,
/// without the final full stop, free of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind.
    pub code: RefusalCode,
    /// What happened: `there is no user "anna"`.
    pub what: String,
    /// Where: the argument, file line, setting or part of the machine it is about.
    #[serde(rename = "where")]
    pub place: String,
    /// What to do next: `"show users" lists the users`.
    pub next: String,
}

impl Refusal {
    /// A refusal of the given kind.
    #[must_use]
    pub fn new(
        code: RefusalCode,
        what: impl Into<String>,
        place: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { code, what: what.into(), place: place.into(), next: next.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.place)
    }
}

impl std::error::Error for Refusal {}
