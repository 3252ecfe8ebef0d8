//! Logs and log levels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How severe a line is, or from which severity on lines are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something works worse than it should.
    Warn,
    /// What an administrator wants to know.
    Info,
    /// What a developer wants to know; may hold user data.
    Debug,
    /// Every message.
    Trace,
}

impl LogLevel {
    /// All levels, the most severe first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level's name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A log that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogInventory {
    /// Its name: `presence`.
    pub name: String,
    /// How many lines are kept.
    pub lines: u64,
    /// How many lines can be kept before the oldest go.
    pub max_lines: u64,
    /// What the kept lines take.
    pub size_bytes: u64,
    /// When the oldest kept line was written.
    pub oldest_unix_ms: Option<u64>,
    /// When the newest line was written.
    pub newest_unix_ms: Option<u64>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Counts the lines of this log since the daemon started, from 1.
    pub sequence: u64,
    /// When it was written.
    pub at_unix_ms: u64,
    /// How severe.
    pub level: LogLevel,
    /// Which area wrote it.
    pub area: String,
    /// What it says, its fields as `name=value` behind the message.
    pub text: String,
}

/// Lines of a log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Pass this as `after_sequence` to get what follows: the sequence of the last line looked
    /// at, whether it matched or not.
    pub next_after_sequence: u64,
    /// Whether lines beyond `next_after_sequence` are there already.
    pub more: bool,
    /// Lines after the asked `after_sequence` that were no longer kept.
    pub lost_lines: u64,
}

/// The levels in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevels {
    /// For areas without a level of their own.
    pub default: LogLevel,
    /// Every area, in order of name.
    pub areas: Vec<AreaLevel>,
}

/// The level of one area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaLevel {
    /// The area: `transaction`, `subscription`, `store`.
    pub area: String,
    /// From which level on it logs.
    pub level: LogLevel,
    /// Whether the level was set for this area (else it is the default).
    pub is_set: bool,
}
