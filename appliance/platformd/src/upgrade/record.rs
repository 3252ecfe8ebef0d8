//! What is noted of the slots, beside the settings, so that nothing half written is ever started
//! and a switch that did not succeed is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::file;
use crate::slot::Slot;

/// What is noted. A later version may have added to it, so what is unknown is passed over.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(default)]
    slots: BTreeMap<String, Installed>,
    #[serde(default)]
    failures: BTreeMap<String, Failure>,
    /// The latest switch.
    pub(super) switch: Option<Switch>,
}

/// What is in a slot.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installed {
    pub(super) version: String,
    /// When; 0 for what came with the disk.
    pub(super) installed_unix_ms: u64,
    /// Whether it was written to the end.
    pub(super) is_complete: bool,
    /// The version that last used the slot's own data; absent before the slot was first used.
    pub(super) data_version: Option<String>,
}

/// A switch from one slot to the other, by an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Switch {
    pub(super) from: String,
    pub(super) to: String,
    /// When the presence server was stopped for it.
    pub(super) at_unix_ms: u64,
    /// Whether the network had an address.
    pub(super) had_address: bool,
    /// Whether the data of the one became the other's.
    pub(super) is_data_carried: bool,
    /// How long SIP was not answered; absent until the switch has succeeded.
    pub(super) without_service_ms: Option<u64>,
    /// Whether the machine came back to where it was.
    #[serde(default)]
    pub(super) has_failed: bool,
}

impl Switch {
    /// Whether it is not known yet what becomes of it.
    pub(super) const fn is_open(&self) -> bool {
        self.without_service_ms.is_none() && !self.has_failed
    }
}

/// Starts of a slot that did not become healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) version: Option<String>,
    /// When it was noted that the slot had been left.
    pub(super) at_unix_ms: u64,
    /// How often it was started.
    pub(super) starts: u32,
    /// What its starts left in the journal.
    pub(super) lines: Vec<String>,
}

impl Record {
    fn path(config: &Config) -> PathBuf {
        config.config_dir.join("slots.toml")
    }

    /// An unreadable note is none: a slot that nothing is known of is not switched to unless the
    /// boot loader has it as good.
    pub(super) fn read(config: &Config) -> Self {
        let text = std::fs::read_to_string(Self::path(config)).unwrap_or_default();
        toml::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, "the note of what is in the slots cannot be read");
            Self::default()
        })
    }

    /// Changes what is noted; nothing is written when nothing changes.
    ///
    /// # Errors
    /// In words for an administrator.
    pub(super) fn change(config: &Config, change: impl FnOnce(&mut Self)) -> Result<(), String> {
        let before = Self::read(config);
        let mut record = before.clone();
        change(&mut record);
        if record == before {
            return Ok(());
        }
        let text = toml::to_string(&record).map_err(|error| error.to_string())?;
        file::replace(&Self::path(config), text.as_bytes(), 0o600)
            .map_err(|error| format!("{error}: {}", error.source))
    }

    pub(super) fn installed(&self, slot: Slot) -> Option<&Installed> {
        self.slots.get(slot.name())
    }

    pub(super) fn set_installed(&mut self, slot: Slot, installed: Installed) {
        self.slots.insert(slot.name().to_owned(), installed);
    }

    pub(super) fn failure(&self, slot: Slot) -> Option<&Failure> {
        self.failures.get(slot.name())
    }

    pub(super) fn set_failure(&mut self, slot: Slot, failure: Option<Failure>) {
        match failure {
            Some(failure) => self.failures.insert(slot.name().to_owned(), failure),
            None => self.failures.remove(slot.name()),
        };
    }
}

/// The time now, in milliseconds since 1970.
pub(super) fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
