//! Where the firmware comes from: the medium that this was started from, or what came over the
//! network with it; and answers, where somebody has left some.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::Deserialize;

use crate::write::Firmware;

/// The firmware, packed.
const PACKED: &str = "lamplight.img.zst";
/// What the firmware is.
const FACTS: &str = "lamplight.img.facts";
/// Answers to what is asked here.
const ANSWERS: &str = "lamplight-install.toml";
/// Where it is when it came over the network.
const BESIDE: &str = "/payload";
/// Where a medium is mounted.
const MEDIUM: &str = "/medium";
const KINDS: [&str; 3] = ["iso9660", "vfat", "ext4"];

/// Answers to what is asked here.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Answers {
    /// The disk: its name, its model or its serial number; the only one when absent.
    pub(crate) disk: Option<String>,
    /// Whether a disk that holds the appliance already is written over.
    #[serde(default)]
    pub(crate) overwrite: bool,
    /// Whether the machine restarts when it is done, in place of going down.
    #[serde(default)]
    pub(crate) restart: bool,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) packed: PathBuf,
    pub(crate) firmware: Firmware,
    /// The disk that it is on, where it is on one.
    pub(crate) medium: Option<String>,
}

/// Looks for the firmware and for answers on every disk; what has the firmware stays mounted.
pub(crate) fn look(
    sys_block: &Path,
    answers: &mut Option<Result<Answers, String>>,
) -> Option<Found> {
    let beside = read(Path::new(BESIDE), None);
    let mut found = beside;
    for (disk, device) in devices(sys_block) {
        let is_needed = found.is_none();
        let place = Path::new(if is_needed { MEDIUM } else { "/other" });
        if fs::create_dir_all(place).is_err() || !mounted(&device, place) {
            continue;
        }
        if let Ok(text) = fs::read_to_string(place.join(ANSWERS)) {
            *answers = Some(toml::from_str(&text).map_err(|error| format!("{ANSWERS}: {error}")));
        }
        match read(place, Some(disk)).filter(|_| is_needed) {
            Some(here) => found = Some(here),
            None => {
                // It is looked at again later.
                let _ = umount2(place, MntFlags::MNT_DETACH);
            }
        }
    }
    found
}

fn read(place: &Path, medium: Option<String>) -> Option<Found> {
    let packed = place.join(PACKED);
    let firmware = Firmware::parse(&fs::read_to_string(place.join(FACTS)).ok()?)?;
    packed.exists().then_some(Found { packed, firmware, medium })
}

fn mounted(device: &Path, place: &Path) -> bool {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    KINDS.iter().any(|kind| mount(Some(device), place, Some(*kind), flags, None::<&str>).is_ok())
}

/// Disks and their partitions: the disk's name, and the device.
fn devices(sys_block: &Path) -> Vec<(String, PathBuf)> {
    let names = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let mut devices = Vec::new();
    for disk in names(sys_block) {
        if ["loop", "ram", "fd", "dm-"].iter().any(|kind| disk.starts_with(kind)) {
            continue;
        }
        devices.push((disk.clone(), Path::new("/dev").join(&disk)));
        for part in names(&sys_block.join(&disk)) {
            if sys_block.join(&disk).join(&part).join("partition").exists() {
                devices.push((disk.clone(), Path::new("/dev").join(part)));
            }
        }
    }
    devices
}
