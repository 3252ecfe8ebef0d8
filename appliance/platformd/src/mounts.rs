//! What the machine's own seal promises of its file systems, looked at while it runs: nothing that
//! can be written can be executed, and settings and data have partitions of their own.

use std::path::Path;

/// Where the kernel lists what is mounted (proc(5)).
const MOUNTS: &str = "/proc/1/mountinfo";
/// Partitions that must be there, and what is lost without.
const PARTITIONS: [(&str, &str); 2] = [
    ("/config", "settings are lost at the next restart"),
    ("/var", "users, registrations and logs are lost at the next restart"),
];

/// A line for each promise that is broken.
pub(crate) fn broken_promises() -> Vec<String> {
    match std::fs::read_to_string(Path::new(MOUNTS)) {
        Ok(text) => check(&text),
        Err(error) => vec![format!("{MOUNTS} cannot be read: {error}")],
    }
}

fn check(mounts: &str) -> Vec<String> {
    // ID, parent, device, root, where, options, …
    let mounts: Vec<(&str, &str)> = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(4);
            Some((fields.next()?, fields.next()?))
        })
        .collect();
    let mut broken = Vec::new();
    for (place, options) in &mounts {
        let has = |wanted| options.split(',').any(|option| option == wanted);
        if has("rw") && !has("noexec") {
            broken.push(format!("{place} can be written and its files can be executed"));
        }
        if has("rw") && !has("nosuid") {
            broken.push(format!("{place} can be written and may hold setuid files"));
        }
    }
    for (place, loss) in PARTITIONS {
        if !mounts.iter().any(|(mounted, _)| *mounted == place) {
            broken.push(format!("the partition of {place} is missing: {loss}"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::check;

    const SEALED: &str = "\
22 1 254:0 / / ro,relatime shared:1 - squashfs /dev/mapper/root ro,errors=panic
23 22 0:21 / /run rw,nosuid,nodev,noexec shared:2 - tmpfs tmpfs rw,size=200000k
24 22 254:7 / /config rw,nosuid,nodev,noexec,noatime shared:3 - ext4 /dev/vda7 rw
25 22 254:8 / /var rw,nosuid,nodev,noexec,noatime shared:4 - ext4 /dev/vda8 rw
";

    #[test]
    fn a_sealed_machine_keeps_its_promises() {
        assert_eq!(check(SEALED), Vec::<String>::new());
    }

    #[test]
    fn each_broken_promise_is_named() {
        let text = SEALED.replace("/run rw,nosuid,nodev,noexec", "/run rw,nosuid,nodev");
        assert_eq!(check(&text), ["/run can be written and its files can be executed"]);
        let text = SEALED.replace("/config rw,nosuid", "/config rw");
        assert_eq!(check(&text), ["/config can be written and may hold setuid files"]);
        let (without, _) = SEALED.split_once("25 22").unwrap();
        let [broken] = check(without).try_into().unwrap();
        assert!(broken.contains("/var is missing"), "{broken}");
    }
}
