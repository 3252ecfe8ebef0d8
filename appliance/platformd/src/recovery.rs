//! Replacing a lost password: whoever asks proves to stand at the machine, or at its hypervisor,
//! by attaching a disk that was not there when it was asked.

use std::collections::BTreeSet;
use std::time::Duration;

use admin_api::platform::answer::Recovery as Answer;
use tokio::time::Instant;

/// How long there is for it.
const WITHIN: Duration = Duration::from_secs(300);

/// Where the kernel lists disks.
pub(crate) const BLOCK_DIR: &str = "/sys/block";

/// A recovery under way.
#[derive(Debug)]
pub(crate) struct Recovery {
    until: Instant,
    before: BTreeSet<String>,
    is_proven: bool,
}

impl Recovery {
    /// Begins with the disks that are there.
    pub(crate) fn start(disks: BTreeSet<String>, now: Instant) -> Self {
        Self { until: now + WITHIN, before: disks, is_proven: false }
    }

    /// Looks at the disks again; none when the time is over.
    pub(crate) fn look(&mut self, disks: &BTreeSet<String>, now: Instant) -> Option<Answer> {
        let remaining = self.until.checked_duration_since(now)?;
        self.is_proven |= disks.difference(&self.before).next().is_some();
        // A disk that was taken away may be the one that is attached again.
        self.before.retain(|disk| disks.contains(disk));
        Some(Answer { is_proven: self.is_proven, remaining_s: remaining.as_secs() })
    }
}

/// The disks that are there. Loop and memory devices can be made without touching the machine.
pub(crate) fn disks() -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(BLOCK_DIR) else { return BTreeSet::new() };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            !["loop", "ram", "zram", "dm-", "md"].iter().any(|kind| name.starts_with(kind))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Recovery;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_a_disk_that_came_since_is_a_proof() {
        let now = Instant::now();
        let mut recovery = Recovery::start(set(&["sda", "sdb"]), now);
        assert!(!recovery.look(&set(&["sda", "sdb"]), now).unwrap().is_proven);
        assert!(!recovery.look(&set(&["sda"]), now).unwrap().is_proven);
        assert!(recovery.look(&set(&["sda", "sdb"]), now).unwrap().is_proven);
        assert!(recovery.look(&set(&["sda"]), now).unwrap().is_proven, "once is enough");
    }

    #[test]
    fn there_is_an_end_to_it() {
        let now = Instant::now();
        let mut recovery = Recovery::start(set(&["sda"]), now);
        let late = now + Duration::from_secs(299);
        assert_eq!(recovery.look(&set(&["sda", "sdb"]), late).unwrap().remaining_s, 1);
        assert!(recovery.look(&set(&["sda", "sdb"]), late + Duration::from_secs(2)).is_none());
    }
}
