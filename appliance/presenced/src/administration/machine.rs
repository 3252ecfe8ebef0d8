//! Readings of the running machine: memory, load, uptime, disk. All optional: a missing file is
//! a missing line in `show status`, never a fault.

use std::path::Path;

/// Readings of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Readings {
    /// Seconds since the machine started.
    pub(crate) uptime_s: Option<u64>,
    /// Load average of the last minute, in hundredths.
    pub(crate) load_hundredths: Option<u64>,
    /// Memory of the machine.
    pub(crate) memory_total_bytes: Option<u64>,
    /// Memory that is free or can be freed.
    pub(crate) memory_available_bytes: Option<u64>,
    /// Memory of this process.
    pub(crate) resident_bytes: Option<u64>,
    /// The disk that holds the data.
    pub(crate) disk_total_bytes: Option<u64>,
    /// What is free on it.
    pub(crate) disk_free_bytes: Option<u64>,
}

impl Readings {
    /// Reads everything.
    pub(crate) fn take(data_dir: &Path) -> Self {
        let proc = |name: &str| std::fs::read_to_string(Path::new("/proc").join(name)).ok();
        let memory = proc("meminfo").unwrap_or_default();
        let status = proc("self/status").unwrap_or_default();
        let disk = nix::sys::statvfs::statvfs(data_dir).ok();
        let blocks = |count: u64, size: u64| count.checked_mul(size);
        Self {
            uptime_s: proc("uptime").and_then(|text| first_decimal(&text)).map(|h| h / 100),
            load_hundredths: proc("loadavg").and_then(|text| first_decimal(&text)),
            memory_total_bytes: kibibytes(&memory, "MemTotal:"),
            memory_available_bytes: kibibytes(&memory, "MemAvailable:"),
            resident_bytes: kibibytes(&status, "VmRSS:"),
            disk_total_bytes: disk.and_then(|d| blocks(d.blocks(), d.fragment_size())),
            disk_free_bytes: disk.and_then(|d| blocks(d.blocks_available(), d.fragment_size())),
        }
    }
}

/// The host's name, empty when it has none.
pub(crate) fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// A first word such as `0.52`, in hundredths.
fn first_decimal(text: &str) -> Option<u64> {
    let word = text.split_whitespace().next()?;
    let (whole, fraction) = word.split_once('.').unwrap_or((word, "0"));
    let fraction: String = fraction.chars().chain("00".chars()).take(2).collect();
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(fraction.parse().ok()?)
}

/// The bytes of a line such as `MemTotal:  16384 kB`.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_proc_are_read() {
        assert_eq!(first_decimal("0.52 0.58 0.59 1/467 12345"), Some(52));
        assert_eq!(first_decimal("350735.4 234388.90"), Some(35_073_540));
        assert_eq!(first_decimal("7"), Some(700));
        assert_eq!(first_decimal("x"), None);
        assert_eq!(kibibytes("A: 1 kB\nMemTotal:   16 kB\n", "MemTotal:"), Some(16_384));
        assert_eq!(kibibytes("", "MemTotal:"), None);
    }

    #[test]
    fn this_machine_has_memory_and_a_disk() {
        let readings = Readings::take(Path::new("/"));
        assert!(readings.memory_total_bytes.unwrap() > 0);
        assert!(readings.resident_bytes.unwrap() > 0);
        assert!(readings.disk_total_bytes.unwrap() >= readings.disk_free_bytes.unwrap());
    }
}
