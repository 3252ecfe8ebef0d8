//! Alarms: what is wrong with this node, since when, and what to do about it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use admin_api::answer::system::{Alarm, Severity};

use crate::clock::unix_millis;

/// Ended alarms that are still shown.
const KEPT_ENDED: usize = 32;

/// Everything that can be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AlarmKind {
    /// The store refuses writes; presence goes on from memory.
    StoreFailed,
    /// The store takes longer than answers may wait.
    StoreSlow,
    /// More soft state waits for the store than may wait.
    StoreBehind,
    /// The store was damaged and came back from a snapshot.
    StoreRestored,
    /// Stored records could not be read.
    RecordsUnreadable,
    /// A snapshot could not be written.
    SnapshotFailed,
    /// As many users are enabled as the machine carries.
    CapacityReached,
    /// The store holds more users than the machine carries; the rest are not served.
    UsersNotServed,
    /// The machine is below the smallest class; SIP is not served.
    HardwareTooSmall,
    /// The machine names a larger class than its resources carry.
    HardwareReduced,
    /// There is little room on the disk.
    DiskLow,
    /// As many connections are open as may be.
    ConnectionsExhausted,
    /// The settings file was changed to something that cannot be used.
    SettingsRefused,
    /// A directory cannot be read.
    DirectoryFailed,
    /// So many people have vanished from a directory that they are not believed to be gone.
    DirectoryHeldBack,
    /// People of a directory are no users.
    DirectoryOverflow,
    /// A part of the program failed and was contained.
    InternalError,
}

impl AlarmKind {
    /// Its name, its severity, the part of the node it is about, and what to do.
    const fn facts(self) -> (&'static str, Severity, &'static str, &'static str) {
        use Severity::{Critical, Major, Minor};
        match self {
            Self::StoreFailed => (
                "store-failed",
                Critical,
                "store",
                "check the disk's free space and health, then restart the service if this alarm \
                 stays; changes made since it was raised are lost then",
            ),
            Self::StoreSlow => ("store-slow", Major, "store", "check the disk's load and health"),
            Self::StoreBehind => (
                "store-behind",
                Major,
                "store",
                "check the disk's load and health; the newest presence is lost if the node stops",
            ),
            Self::StoreRestored => (
                "store-restored",
                Critical,
                "store",
                "compare \"show users\" with your records, then check the disk's health",
            ),
            Self::RecordsUnreadable => (
                "records-unreadable",
                Major,
                "store",
                "save \"show tech-support\" for the maker; the other records are in use",
            ),
            Self::SnapshotFailed => {
                ("snapshot-failed", Major, "store", "check the disk's free space")
            }
            Self::CapacityReached => (
                "capacity-reached",
                Minor,
                "users",
                "disable users who left, or move to a larger machine class",
            ),
            Self::UsersNotServed => (
                "users-not-served",
                Critical,
                "users",
                "disable users until their number fits, or move to a larger machine class",
            ),
            Self::HardwareTooSmall => (
                "hardware-too-small",
                Critical,
                "hardware",
                "give the machine what is missing, then restart it",
            ),
            Self::HardwareReduced => (
                "hardware-reduced",
                Minor,
                "hardware",
                "compare \"show hardware\" with the minimum of the class",
            ),
            Self::DiskLow => (
                "disk-low",
                Major,
                "disk",
                "delete captures, or give the machine a larger disk; presence goes on meanwhile",
            ),
            Self::ConnectionsExhausted => (
                "connections-exhausted",
                Major,
                "sip",
                "find who holds the connections, or raise sip.max_connections",
            ),
            Self::SettingsRefused => (
                "settings-refused",
                Major,
                "settings",
                "correct the settings, then have them read again; those before stay in force",
            ),
            Self::DirectoryFailed => (
                "ldap-failed",
                Major,
                "ldap",
                "\"utils ldap test NAME\" says more; users stay as they are meanwhile",
            ),
            Self::DirectoryHeldBack => (
                "ldap-held-back",
                Major,
                "ldap",
                "look with \"utils ldap preview NAME\"; if they are gone, \"utils ldap sync NAME \
                 force\"",
            ),
            Self::DirectoryOverflow => (
                "ldap-users-waiting",
                Minor,
                "ldap",
                "\"utils ldap preview NAME\" lists them and why",
            ),
            Self::InternalError => (
                "internal-error",
                Critical,
                "presenced",
                "save \"show tech-support\" for the maker, then restart the service",
            ),
        }
    }

    /// Its name in the CLI and in metrics.
    pub(crate) const fn name(self) -> &'static str {
        self.facts().0
    }
}

/// The alarms of this node; handles share one list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alarms {
    list: Arc<Mutex<List>>,
}

#[derive(Debug, Default)]
struct List {
    raised: BTreeMap<AlarmKind, Alarm>,
    ended: VecDeque<Alarm>,
}

impl Alarms {
    /// Raises an alarm; one that stands keeps its time and takes the new particulars.
    pub(crate) fn raise(&self, kind: AlarmKind, what: impl Into<String>) {
        let what = what.into();
        let now = unix_millis();
        let (name, severity, place, next) = kind.facts();
        let mut list = self.lock();
        if let Some(alarm) = list.raised.get_mut(&kind) {
            alarm.what = what;
            alarm.last_unix_ms = now;
            alarm.count = alarm.count.saturating_add(1);
            return;
        }
        let alarm = Alarm {
            name: name.to_owned(),
            severity,
            raised_unix_ms: now,
            last_unix_ms: now,
            count: 1,
            cleared_unix_ms: None,
            what: what.clone(),
            place: place.to_owned(),
            next: next.to_owned(),
        };
        list.raised.insert(kind, alarm);
        drop(list);
        match severity {
            Severity::Critical => tracing::error!(alarm = name, "alarm raised: {what}"),
            Severity::Major | Severity::Minor => {
                tracing::warn!(alarm = name, "alarm raised: {what}");
            }
        }
    }

    /// Ends an alarm if it stands.
    pub(crate) fn clear(&self, kind: AlarmKind) {
        let mut list = self.lock();
        let Some(mut alarm) = list.raised.remove(&kind) else { return };
        alarm.cleared_unix_ms = Some(unix_millis());
        list.ended.truncate(KEPT_ENDED - 1);
        list.ended.push_front(alarm);
        drop(list);
        tracing::info!(alarm = kind.name(), "alarm ended");
    }

    /// Raises or ends by a condition.
    pub(crate) fn set(&self, kind: AlarmKind, what: Option<String>) {
        match what {
            Some(what) => self.raise(kind, what),
            None => self.clear(kind),
        }
    }

    /// Every alarm: standing ones first, newest first.
    pub(crate) fn list(&self) -> Vec<Alarm> {
        let list = self.lock();
        let mut all: Vec<_> = list.raised.values().cloned().collect();
        all.sort_by_key(|alarm| std::cmp::Reverse(alarm.raised_unix_ms));
        all.extend(list.ended.iter().cloned());
        all
    }

    /// The alarms that stand, by kind.
    pub(crate) fn standing(&self) -> Vec<AlarmKind> {
        self.lock().raised.keys().copied().collect()
    }

    /// Whether this alarm stands.
    pub(crate) fn is_raised(&self, kind: AlarmKind) -> bool {
        self.lock().raised.contains_key(&kind)
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_keeps_its_time_until_it_ends_and_is_still_shown_then() {
        let alarms = Alarms::default();
        alarms.raise(AlarmKind::StoreSlow, "first");
        let raised = alarms.list()[0].raised_unix_ms;
        alarms.raise(AlarmKind::StoreSlow, "second");
        let list = alarms.list();
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].what.as_str(), list[0].count), ("second", 2));
        assert_eq!(list[0].raised_unix_ms, raised);
        alarms.set(AlarmKind::StoreSlow, None);
        assert!(alarms.standing().is_empty());
        assert!(alarms.list()[0].cleared_unix_ms.is_some());
    }

    #[test]
    fn ended_alarms_are_bounded() {
        let alarms = Alarms::default();
        for _ in 0..KEPT_ENDED * 2 {
            alarms.raise(AlarmKind::StoreSlow, "again");
            alarms.clear(AlarmKind::StoreSlow);
        }
        assert_eq!(alarms.list().len(), KEPT_ENDED);
    }
}
