//! Backups: what is kept, where, how often.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Where a backup is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupPlace {
    /// On this machine, to be fetched with `file get backup`.
    Here,
    /// On a disk, or stick, labelled `LAMPLIGHT`.
    Disk,
    /// In a directory of another machine.
    Url {
        /// `sftp` or `https`, with the user but without a password.
        url: String,
        /// The user's password, where one is asked for.
        password: Option<Secret>,
    },
}

/// Where a backup comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupSource {
    /// One that is on this machine.
    Here {
        /// Its name.
        name: String,
    },
    /// A file of the upload area.
    Upload {
        /// Its name, without any directory.
        name: String,
    },
    /// A disk labelled `LAMPLIGHT`.
    Disk {
        /// Its name; the newest unless given.
        name: Option<String>,
    },
    /// A file on another machine.
    Url {
        /// `sftp`, `https` or `http`, with the user but without a password.
        url: String,
        /// The user's password, where one is asked for.
        password: Option<Secret>,
    },
}

/// When backups are made by themselves, and where they are left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSchedule {
    /// Minutes after midnight in the machine's time zone, every day.
    pub minute_of_day: u16,
    /// Where.
    pub place: BackupPlace,
    /// How many are kept there, where older ones can be deleted.
    pub keep: u32,
}

/// What is to be known of backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backups {
    /// Whether there is a passphrase to encrypt with.
    pub has_passphrase: bool,
    /// When they are made by themselves; its secrets are left out.
    pub schedule: Option<BackupSchedule>,
    /// When the next one is due.
    pub next_unix_ms: Option<u64>,
    /// The latest that was made, or should have been.
    pub latest: Option<LatestBackup>,
    /// What is being done.
    pub work: BackupWork,
}

/// The latest backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestBackup {
    /// When.
    pub at_unix_ms: u64,
    /// Its name.
    pub name: String,
    /// Where it is, in words.
    pub place: String,
    /// Why it failed, where it did.
    pub fault: Option<String>,
}

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupWork {
    /// Nothing since the machine's start.
    Idle,
    /// Something is under way.
    Running {
        /// What, in words.
        step: String,
    },
    /// It is done.
    Done {
        /// What, in words.
        what: String,
    },
    /// It failed.
    Failed {
        /// Why.
        why: String,
    },
}

/// A backup in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its name.
    pub name: String,
    /// How large it is, where that is told.
    pub size_bytes: Option<u64>,
}
