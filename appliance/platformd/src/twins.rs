//! Two disks with the appliance on both: which of them the kernel takes a partition from is left
//! to chance, so they are noticed and named.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use admin_api::refusal::{Refusal, RefusalCode};

/// Where the kernel lists disks and partitions.
const BLOCK: &str = "/sys/class/block";
/// The partitions of the appliance (image/layout.toml).
const LABELS: [&str; 7] = ["esp", "boot-a", "boot-b", "root-a", "root-b", "config", "data"];

/// What is wrong, where more than one disk carries the appliance.
pub(crate) fn named() -> Option<String> {
    let disks = carriers(Path::new(BLOCK));
    (disks.len() > 1).then(|| {
        format!(
            "{} disks carry Lamplight: {}; keep the right one, and remove the others",
            disks.len(),
            disks.join(" and ")
        )
    })
}

/// Refuses where more than one disk carries the appliance.
///
/// # Errors
/// They are named.
pub(crate) fn check() -> Result<(), Refusal> {
    named().map_or(Ok(()), |what| {
        Err(Refusal::new(
            RefusalCode::NotNow,
            what,
            "disks",
            "shut the machine down, remove a disk, and try again",
        ))
    })
}

/// The disks with two partitions or more that are called as ours are.
fn carriers(block: &Path) -> Vec<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for entry in fs::read_dir(block).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path().join("uevent")).unwrap_or_default();
        let label = text.lines().find_map(|line| line.strip_prefix("PARTNAME="));
        if !label.is_some_and(|label| LABELS.contains(&label)) {
            continue;
        }
        let disk = fs::canonicalize(entry.path())
            .ok()
            .and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
        if let Some(disk) = disk {
            *found.entry(disk).or_default() += 1;
        }
    }
    found.into_iter().filter(|(_, count)| *count > 1).map(|(disk, _)| told(block, &disk)).collect()
}

fn told(block: &Path, disk: &str) -> String {
    let read = |name: &str| {
        let text = fs::read_to_string(block.join(disk).join(name)).unwrap_or_default();
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let mut words = vec![disk.to_owned()];
    words.extend(read("device/model"));
    words.extend(read("device/serial").or_else(|| read("serial")).map(|s| format!("serial {s}")));
    if let Some(sectors) = read("size").and_then(|sectors| sectors.parse::<u64>().ok()) {
        words.push(format!("{} GiB", sectors >> 21));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::carriers;

    fn partition(root: &Path, disk: &str, number: u32, label: &str) {
        let name = format!("{disk}{number}");
        let device = root.join("devices").join(disk).join(&name);
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("uevent"), format!("DEVTYPE=partition\nPARTNAME={label}\n")).unwrap();
        symlink(&device, root.join("block").join(name)).unwrap();
    }

    fn disk(root: &Path, name: &str, model: &str) {
        let device = root.join("devices").join(name);
        fs::create_dir_all(device.join("device")).unwrap();
        fs::write(device.join("uevent"), "DEVTYPE=disk\n").unwrap();
        fs::write(device.join("device/model"), format!("{model}  \n")).unwrap();
        fs::write(device.join("size"), "41943040\n").unwrap();
        symlink(&device, root.join("block").join(name)).unwrap();
    }

    #[test]
    fn disks_with_the_appliance_are_named_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("block")).unwrap();
        for (name, model) in [("sda", "LOGICAL VOLUME"), ("sdb", "ST373207"), ("sdc", "Stick")] {
            disk(root, name, model);
        }
        partition(root, "sda", 2, "esp");
        partition(root, "sda", 3, "boot-a");
        // Any disk may have an EFI system partition.
        partition(root, "sdc", 1, "esp");
        assert_eq!(carriers(&root.join("block")), ["sda, LOGICAL VOLUME, 20 GiB"]);
        partition(root, "sdb", 2, "esp");
        partition(root, "sdb", 3, "boot-a");
        assert_eq!(
            carriers(&root.join("block")),
            ["sda, LOGICAL VOLUME, 20 GiB", "sdb, ST373207, 20 GiB"]
        );
    }
}
