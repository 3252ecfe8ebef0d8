//! The disks of the machine, as the kernel lists them.

use std::fs;
use std::path::{Path, PathBuf};

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// What the kernel calls it.
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) serial: String,
    pub(crate) size_bytes: u64,
    /// What stands on it, in words.
    pub(crate) holds: String,
}

impl Disk {
    /// Its device.
    pub(crate) fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// In one line.
    pub(crate) fn told(&self) -> String {
        let mut words = vec![self.name.clone()];
        if !self.model.is_empty() {
            words.push(self.model.clone());
        }
        words.push(size(self.size_bytes));
        if !self.serial.is_empty() {
            words.push(format!("serial {}", self.serial));
        }
        words.push(self.holds.clone());
        words.join(", ")
    }

    /// Whether the appliance is on it.
    pub(crate) fn has_appliance(&self) -> bool {
        self.holds == APPLIANCE
    }

    /// Whether an administrator means this one by a name, a model or a serial number.
    pub(crate) fn is_called(&self, wanted: &str) -> bool {
        [&self.name, &self.model, &self.serial]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(wanted))
    }
}

const APPLIANCE: &str = "holds Lamplight";

/// As disks are sold.
fn size(bytes: u64) -> String {
    match bytes / 1_000_000 {
        mb if mb >= 10_000 => format!("{} GB", mb / 1_000),
        mb => format!("{mb} MB"),
    }
}

/// The disks of at least so many bytes that can be written to, in order of name, but for `medium`.
pub(crate) fn list(sys_block: &Path, least_bytes: u64, medium: Option<&str>) -> Vec<Disk> {
    let mut found: Vec<Disk> = fs::read_dir(sys_block)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| read(&entry.path()))
        .filter(|disk| disk.size_bytes >= least_bytes && Some(disk.name.as_str()) != medium)
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn read(path: &Path) -> Option<Disk> {
    let name = path.file_name()?.to_str()?.to_owned();
    let text = |file: &str| {
        let text = fs::read_to_string(path.join(file)).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // What is no disk: memory, loops, CDs, floppies.
    let is_disk =
        !["loop", "ram", "sr", "fd", "dm-", "zram", "md"].iter().any(|kind| name.starts_with(kind));
    if !is_disk || text("ro") == "1" || text("removable") == "1" && text("size") == "0" {
        return None;
    }
    let sectors: u64 = text("size").parse().ok()?;
    let model = text("device/model");
    let serial = match text("serial") {
        serial if serial.is_empty() => serial_of_scsi(&path.join("device")),
        serial => serial,
    };
    Some(Disk { holds: holds(path), name, model, serial, size_bytes: sectors.saturating_mul(512) })
}

/// The serial number of a SCSI or SATA disk: vital product data, page 80h (SPC-4 §7.8).
fn serial_of_scsi(device: &Path) -> String {
    let page = fs::read(device.join("vpd_pg80")).unwrap_or_default();
    let text = String::from_utf8_lossy(page.get(4..).unwrap_or_default()).into_owned();
    text.chars().filter(char::is_ascii_graphic).collect()
}

/// What the kernel found on a disk.
fn holds(path: &Path) -> String {
    let labels: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join("uevent")).ok()?;
            let is_partition = text.lines().any(|line| line == "DEVTYPE=partition");
            let label = text.lines().find_map(|line| line.strip_prefix("PARTNAME="));
            is_partition.then(|| label.unwrap_or_default().to_owned())
        })
        .collect();
    let has = |wanted: &str| labels.iter().any(|label| label == wanted);
    match labels.len() {
        0 => "no partitions".to_owned(),
        _ if has("boot-a") && has("root-a") => APPLIANCE.to_owned(),
        1 => "1 partition".to_owned(),
        count => format!("{count} partitions"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::list;

    fn disk(root: &Path, name: &str, sectors: u64, files: &[(&str, &str)], labels: &[&str]) {
        let path = root.join(name);
        fs::create_dir_all(path.join("device")).unwrap();
        fs::write(path.join("size"), format!("{sectors}\n")).unwrap();
        fs::write(path.join("ro"), "0\n").unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        for (i, label) in labels.iter().enumerate() {
            let partition = path.join(format!("{name}{i}"));
            fs::create_dir(&partition).unwrap();
            let uevent = format!("DEVTYPE=partition\nPARTNAME={label}\n");
            fs::write(partition.join("uevent"), uevent).unwrap();
        }
    }

    #[test]
    fn disks_are_told_by_what_is_printed_on_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let page = "\0\u{0}\0\u{8}  S3RIAL";
        disk(
            root,
            "sdb",
            286_000_000,
            &[("device/model", "LOGICAL VOLUME  \n"), ("device/vpd_pg80", page)],
            &["x", ""],
        );
        disk(root, "vda", 41_943_040, &[("serial", "LAMP1\n")], &["boot-a", "root-a"]);
        disk(root, "sda", 2_000_000, &[("device/model", "Stick\n")], &[]);
        disk(root, "sdc", 286_000_000, &[], &[]);
        disk(root, "sr0", 286_000_000, &[], &[]);
        disk(root, "loop0", 286_000_000, &[], &[]);
        fs::create_dir(root.join("nonsense")).unwrap();
        let told: Vec<_> = list(root, 4 << 30, Some("sdc")).iter().map(super::Disk::told).collect();
        assert_eq!(
            told,
            [
                "sdb, LOGICAL VOLUME, 146 GB, serial S3RIAL, 2 partitions",
                "vda, 21 GB, serial LAMP1, holds Lamplight"
            ]
        );
        let disks = list(root, 0, None);
        assert_eq!(disks.iter().filter(|disk| disk.is_called("s3rial")).count(), 1);
        assert!(disks.iter().any(super::Disk::has_appliance));
    }
}
