//! Measures the machine and starts the recognition.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::dmi::Dmi;
use crate::matching::{Detection, decide};
use crate::profile::Profile;

/// What the machine has to work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// Cores; on a virtual machine its processors, whatever topology it pretends.
    pub cores: u32,
    /// Processor sockets in use, when the kernel tells.
    pub sockets: Option<u32>,
    /// The clock of the fastest core, when the kernel tells.
    pub clock_mhz: Option<u32>,
    /// Memory that the kernel has.
    pub memory_bytes: u64,
    /// Size of the file system that holds the data.
    pub disk_bytes: u64,
    /// The processor's name.
    pub processor: Option<String>,
    /// Whether it runs under a hypervisor.
    pub is_virtual: bool,
}

/// The machine could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum ResourcesUnreadable {
    /// A file of the kernel's could not be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The kernel does not say how much memory there is.
    #[error("{} has no MemTotal", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
    },
    /// The file system that holds the data could not be measured.
    #[error("cannot measure the file system of {}", path.display())]
    Disk {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: nix::Error,
    },
}

impl Resources {
    /// Measures the machine: processors and memory as `proc_dir` (`/proc`) says, and the file
    /// system of `data_dir`, which must exist.
    ///
    /// # Errors
    /// What could not be read.
    pub fn read(proc_dir: &Path, data_dir: &Path) -> Result<Self, ResourcesUnreadable> {
        let statistics = nix::sys::statvfs::statvfs(data_dir)
            .map_err(|source| ResourcesUnreadable::Disk { path: data_dir.to_owned(), source })?;
        let disk_bytes = statistics.blocks().saturating_mul(statistics.fragment_size());
        Self::from_proc(proc_dir, disk_bytes)
    }

    fn from_proc(proc_dir: &Path, disk_bytes: u64) -> Result<Self, ResourcesUnreadable> {
        let processors = Processors::parse(&read_text(&proc_dir.join("cpuinfo"))?);
        let path = proc_dir.join("meminfo");
        let Some(memory_bytes) = memory_total(&read_text(&path)?) else {
            return Err(ResourcesUnreadable::Memory { path });
        };
        Ok(Self {
            cores: processors.cores(),
            sockets: processors.sockets(),
            clock_mhz: processors.clock_mhz,
            memory_bytes,
            disk_bytes,
            processor: processors.name,
            is_virtual: processors.is_virtual,
        })
    }
}

fn read_text(path: &Path) -> Result<String, ResourcesUnreadable> {
    let bytes = std::fs::read(path)
        .map_err(|source| ResourcesUnreadable::File { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// What `/proc/cpuinfo` says.
#[derive(Debug, Default)]
struct Processors {
    threads: u32,
    physical: BTreeSet<String>,
    cores: BTreeSet<(String, String)>,
    clock_mhz: Option<u32>,
    name: Option<String>,
    is_virtual: bool,
}

impl Processors {
    fn parse(cpuinfo: &str) -> Self {
        let mut all = Self::default();
        let mut socket = String::new();
        for line in cpuinfo.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match key.trim_end() {
                "processor" => {
                    all.threads = all.threads.saturating_add(1);
                    socket.clear();
                }
                "physical id" => {
                    value.clone_into(&mut socket);
                    all.physical.insert(socket.clone());
                }
                "core id" => {
                    all.cores.insert((socket.clone(), value.to_owned()));
                }
                "cpu MHz" => {
                    let whole = value.split('.').next().unwrap_or_default();
                    all.clock_mhz = all.clock_mhz.max(whole.parse().ok());
                }
                "model name" if all.name.is_none() => {
                    all.name = Some(value.split_whitespace().collect::<Vec<_>>().join(" "));
                }
                "flags" => {
                    all.is_virtual |= value.split_whitespace().any(|flag| flag == "hypervisor");
                }
                _ => {}
            }
        }
        // `cpu MHz` is what the core runs at just now; an idle one runs slower than it can.
        let nominal = all.name.as_deref().and_then(clock_in_name);
        all.clock_mhz = all.clock_mhz.max(nominal);
        all
    }

    fn sockets(&self) -> Option<u32> {
        u32::try_from(self.physical.len()).ok().filter(|n| *n > 0)
    }

    fn cores(&self) -> u32 {
        let distinct = u32::try_from(self.cores.len()).unwrap_or(u32::MAX);
        if self.is_virtual || distinct == 0 { self.threads } else { distinct }
    }
}

/// The clock that a name such as `Intel(R) Xeon(R) CPU 5140 @ 2.33GHz` ends with.
fn clock_in_name(name: &str) -> Option<u32> {
    let (number, unit) = match name.rsplit(' ').find_map(|word| word.strip_suffix("Hz"))? {
        text if text.ends_with('G') => (text.trim_end_matches('G'), 1_000),
        text if text.ends_with('M') => (text.trim_end_matches('M'), 1),
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let thousandths: u32 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let whole: u32 = whole.parse().ok()?;
    whole.checked_mul(unit)?.checked_add(thousandths.checked_mul(unit)? / 1_000)
}

/// Recognises the machine by what its firmware says (`dmi_dir`, as `/sys/class/dmi/id`) and by
/// what it has.
#[must_use]
pub fn detect(dmi_dir: &Path, resources: &Resources) -> Detection {
    let profiles = Profile::read_all();
    debug_assert!(profiles.is_ok(), "{profiles:?}");
    decide(Dmi::read(dmi_dir), resources.clone(), &profiles.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const XEON_5140: &str = "model name\t: Intel(R) Xeon(R) CPU            5140  @ 2.33GHz\n\
        cpu MHz\t\t: 1995.000\nflags\t\t: fpu vme de\n";

    fn processors(of: &[(&str, &str)], rest: &str) -> Processors {
        let text: Vec<String> = of
            .iter()
            .enumerate()
            .map(|(i, (socket, core))| {
                format!("processor\t: {i}\nphysical id\t: {socket}\ncore id\t\t: {core}\n{rest}\n")
            })
            .collect();
        Processors::parse(&text.concat())
    }

    #[test]
    fn cores_and_sockets_are_counted_once_each() {
        let two = processors(&[("0", "0"), ("0", "1"), ("3", "0"), ("3", "1")], XEON_5140);
        assert_eq!((two.cores(), two.sockets()), (4, Some(2)));
        assert_eq!(two.clock_mhz, Some(2330), "the nominal clock, not that of an idle core");
        assert_eq!(two.name.as_deref(), Some("Intel(R) Xeon(R) CPU 5140 @ 2.33GHz"));
        let threaded = processors(&[("0", "0"), ("0", "0")], XEON_5140);
        assert_eq!((threaded.cores(), threaded.sockets()), (1, Some(1)));
    }

    #[test]
    fn a_virtual_machine_counts_its_processors() {
        let rest = "cpu MHz\t\t: 2596.102\nflags\t\t: fpu hypervisor lahf_lm\n";
        let machine = processors(&[("0", "0"), ("0", "0")], rest);
        assert!(machine.is_virtual);
        assert_eq!((machine.cores(), machine.clock_mhz), (2, Some(2596)));
    }

    #[test]
    fn little_or_odd_information_is_tolerated() {
        let arm = Processors::parse("processor\t: 0\nBogoMIPS\t: 243.75\n\nprocessor\t: 1\n");
        assert_eq!((arm.cores(), arm.sockets(), arm.clock_mhz), (2, None, None));
        assert_eq!(Processors::parse("").cores(), 0);
        assert_eq!(Processors::parse("cpu MHz : x\nmodel name : @ .GHz\n").clock_mhz, None);
    }

    #[test]
    fn clocks_are_read_from_names() {
        assert_eq!(clock_in_name("Intel(R) Xeon(TM) CPU 3.40GHz"), Some(3400));
        assert_eq!(clock_in_name("Intel(R) Xeon(R) CPU E5504 @ 2.00GHz"), Some(2000));
        assert_eq!(clock_in_name("Pentium III 700MHz"), Some(700));
        assert_eq!(clock_in_name("AMD EPYC"), None);
        assert_eq!(clock_in_name("99999999999GHz"), None);
    }

    #[test]
    fn memory_is_read_and_its_absence_reported() {
        assert_eq!(
            memory_total("MemTotal:        2014248 kB\nMemFree: 1 kB\n"),
            Some(2_062_589_952)
        );
        assert_eq!(memory_total("MemFree: 1 kB\n"), None);
        assert_eq!(memory_total("MemTotal: many kB\n"), None);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cpuinfo"), "processor : 0\n").unwrap();
        std::fs::write(dir.path().join("meminfo"), "MemFree: 1 kB\n").unwrap();
        let error = Resources::read(dir.path(), dir.path()).unwrap_err();
        assert!(error.to_string().ends_with("meminfo has no MemTotal"), "{error}");
        let error = Resources::read(&dir.path().join("no"), dir.path()).unwrap_err();
        assert!(error.to_string().ends_with("no/cpuinfo"), "{error}");
    }

    #[test]
    fn this_machine_can_be_measured() {
        let resources = Resources::read(Path::new("/proc"), Path::new("/")).unwrap();
        assert!(resources.cores > 0 && resources.memory_bytes > 0 && resources.disk_bytes > 0);
    }
}
