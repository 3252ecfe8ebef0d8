//! Upgrades: the two slots, and what is installed into the one that does not run.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Where a bundle comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeSource {
    /// The one bundle on a disk, CD or stick labelled `LAMPLIGHT`.
    Disk,
    /// A file of the upload area.
    Upload {
        /// Its name, without any directory.
        name: String,
    },
    /// A file on another machine.
    Url {
        /// `https`, `http` or `sftp`, with the user but without a password.
        url: String,
        /// The user's password, where one is asked for.
        password: Option<Secret>,
    },
}

/// The slots, and how far an installation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// Both slots, A first.
    pub slots: Vec<SlotFacts>,
    /// What became of the latest installation since the machine's start.
    pub state: UpgradeState,
    /// The latest switch from one slot to the other.
    pub latest_switch: Option<SwitchFacts>,
}

/// A switch from one slot to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchFacts {
    /// The slot that was left.
    pub from: String,
    /// The slot that was to run.
    pub to: String,
    /// When the presence server was stopped for it.
    pub at_unix_ms: u64,
    /// Whether users and all they have went along; the other slot has its own otherwise.
    pub is_data_carried: bool,
    /// How long SIP was not answered; absent while that is not known.
    pub without_service_ms: Option<u64>,
    /// Whether the machine came back to the slot that was left.
    pub has_failed: bool,
}

/// Starts of a slot that did not become healthy, so that it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFailure {
    /// The version in it.
    pub version: Option<String>,
    /// When that was noted.
    pub at_unix_ms: u64,
    /// How often it was started.
    pub starts: u32,
    /// What its starts left in the journal, the newest last, with times in UTC.
    pub lines: Vec<String>,
}

/// One of the two places that software is kept in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFacts {
    /// `A` or `B`.
    pub name: String,
    /// Whether it runs.
    pub is_running: bool,
    /// Whether the next start is from it.
    pub is_next: bool,
    /// Whether the boot loader may start it.
    pub is_good: bool,
    /// Whether it can be switched to.
    pub is_installed: bool,
    /// Starts since it was last healthy; at three it is passed over.
    pub failed_starts: u32,
    /// The version in it, where that is known.
    pub version: Option<String>,
    /// When it was installed.
    pub installed_unix_ms: Option<u64>,
    /// Why it was left, where it was.
    pub failure: Option<SlotFailure>,
}

/// How far an installation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeState {
    /// Nothing was installed since the machine's start.
    Idle,
    /// It is under way.
    Running {
        /// The version that is installed.
        version: String,
        /// How much of it is done.
        percent: u8,
        /// What is done now.
        step: String,
    },
    /// It is in the slot that does not run.
    Installed {
        /// The version.
        version: String,
    },
    /// It failed; the slot that runs is as it was.
    Failed {
        /// Why.
        why: String,
    },
}
