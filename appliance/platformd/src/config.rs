//! Where everything lies on this machine. The sealed image fixes it; tests point it elsewhere.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::slot::Slot;

/// Where the image says what it is (os-release(5)).
const RELEASE: &str = "/usr/lib/os-release";

/// Where everything lies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Settings, passwords, keys: survives upgrades and a full disk.
    pub(crate) config_dir: PathBuf,
    /// What is written for other programs at every start.
    pub(crate) run_dir: PathBuf,
    /// Captures, uploads, how far logs were sent.
    pub(crate) state_dir: PathBuf,
    /// The presence server's data, whose disk is measured.
    pub(crate) data_dir: PathBuf,
    /// Where systemd-networkd looks for what was written at this start.
    pub(crate) network_dir: PathBuf,
    /// The same of systemd-timesyncd.
    pub(crate) timesync_dir: PathBuf,
    /// Where systemd-networkd says what it has learned.
    pub(crate) netif_state: PathBuf,
    /// The control socket.
    pub(crate) socket: PathBuf,
    /// The group whose members may use it.
    pub(crate) socket_group: String,
    /// The presence server's control socket and the group that may use that.
    pub(crate) presence_socket: PathBuf,
    /// See `presence_socket`.
    pub(crate) presence_socket_group: String,
    /// The group that may read the presence server's settings.
    pub(crate) presence_group: String,
    /// The IANA time zone database.
    pub(crate) zoneinfo_dir: PathBuf,
    /// The mount point and the device of the boot loader's counters.
    pub(crate) efi_dir: PathBuf,
    /// See `efi_dir`.
    pub(crate) efi_device: PathBuf,
    /// The slot that runs, where there are slots.
    #[serde(skip)]
    pub(crate) slot: Option<Slot>,
    /// The version that runs.
    #[serde(skip)]
    pub(crate) version: String,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or says something that is not asked.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut config: Self = toml::from_str(&text)
            .with_context(|| format!("{} cannot be understood", path.display()))?;
        let command_line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        config.slot = Slot::from_command_line(&command_line);
        config.version = std::fs::read_to_string(RELEASE)
            .ok()
            .filter(|_| config.slot.is_some())
            .and_then(|release| version_in(&release))
            .unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
        Ok(config)
    }

    /// The presence server's data for a slot.
    pub(crate) fn data_dir_of(&self, slot: Slot) -> PathBuf {
        self.data_dir.join(slot.name().to_ascii_lowercase())
    }

    /// The presence server's data for what runs.
    pub(crate) fn running_data_dir(&self) -> PathBuf {
        self.slot.map_or_else(|| self.data_dir.clone(), |slot| self.data_dir_of(slot))
    }

    /// The settings.
    pub(crate) fn settings(&self) -> PathBuf {
        self.config_dir.join("settings.toml")
    }

    /// The passwords.
    pub(crate) fn shadow(&self) -> PathBuf {
        self.config_dir.join("shadow")
    }

    /// What OpenSSH reads.
    pub(crate) fn ssh_dir(&self) -> PathBuf {
        self.config_dir.join("ssh")
    }
}

fn version_in(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("VERSION_ID="))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn the_version_stands_in_the_release_file() {
        let release = "NAME=Lamplight\nVERSION_ID=\"1.2.3\"\nBUILD_ID=x\n";
        assert_eq!(version_in(release).as_deref(), Some("1.2.3"));
        assert_eq!(version_in("NAME=x\n"), None);
    }
}
