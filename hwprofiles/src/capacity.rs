//! Capacity classes: how many users each serves, and what a machine must have to carry it.
//!
//! This is the one place for the figures by which machines that are not in `profiles/` are sized.
//! Cores, memory and the clock of the second class follow the virtual machine templates of the
//! predecessor. Its 2.6 GHz for the largest class is not taken over: megahertz of different
//! decades do not compare, and this server spends far less of them on a user. Disk is the size of
//! the file system that holds the data: store, its snapshots and copies, and logs.

use std::fmt;

use crate::detect::Resources;

const GIB: u64 = 1 << 30;
const GB: u64 = 1_000_000_000;

/// Share of a nominal size that has to be there, in hundredths: firmware, kernel and the file
/// system itself keep some of what is on the label.
const PRESENT_OF_NOMINAL: u64 = 85;

/// How many users a machine serves, named by the MCS model that served so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 500 users.
    Mcs7816,
    /// 1,000 users.
    Mcs7825,
    /// 2,500 users.
    Mcs7835,
    /// 5,000 users.
    Mcs7845,
}

impl Class {
    /// Every class, the smallest first.
    pub const ALL: [Self; 4] = [Self::Mcs7816, Self::Mcs7825, Self::Mcs7835, Self::Mcs7845];

    /// How many enabled users there may be.
    #[must_use]
    pub const fn max_users(self) -> u32 {
        match self {
            Self::Mcs7816 => 500,
            Self::Mcs7825 => 1_000,
            Self::Mcs7835 => 2_500,
            Self::Mcs7845 => 5_000,
        }
    }

    /// The model number: `7845`.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::Mcs7816 => "7816",
            Self::Mcs7825 => "7825",
            Self::Mcs7835 => "7835",
            Self::Mcs7845 => "7845",
        }
    }

    /// The class with that model number.
    #[must_use]
    pub fn from_number(number: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.number() == number)
    }

    /// The class of so many users exactly.
    #[must_use]
    pub fn from_max_users(max_users: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.max_users() == max_users)
    }

    /// What a machine of any make must have to carry the class.
    #[must_use]
    pub const fn minimum(self) -> Minimum {
        let (cores, clock_mhz, memory_gb, disk_gb) = match self {
            Self::Mcs7816 => (1, None, 2, 2),
            Self::Mcs7825 => (1, Some(1_500), 2, 2),
            Self::Mcs7835 => (1, Some(1_500), 4, 4),
            Self::Mcs7845 => (2, Some(1_500), 4, 8),
        };
        Minimum { sockets: 1, cores, clock_mhz, memory_gb, disk_gb }
    }

    /// The largest class that the resources carry.
    ///
    /// # Errors
    /// What is missing for the smallest.
    pub fn by_size(resources: &Resources) -> Result<Self, TooSmall> {
        let carries = |class: &Self| class.minimum().is_met_by(resources);
        match Self::ALL.into_iter().rev().find(carries) {
            Some(class) => Ok(class),
            None => Err(TooSmall { missing: Self::Mcs7816.minimum().shortfalls(resources) }),
        }
    }
}

/// What a machine must have, in nominal sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimum {
    /// Processor sockets in use.
    pub sockets: u32,
    /// Cores.
    pub cores: u32,
    /// Clock of a core.
    pub clock_mhz: Option<u32>,
    /// Memory in GiB.
    pub memory_gb: u64,
    /// Size of the data's file system in GB.
    pub disk_gb: u64,
}

impl Minimum {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_met_by(&self, resources: &Resources) -> bool {
        self.shortfalls(resources).is_empty()
    }

    /// What is missing.
    #[must_use]
    pub fn shortfalls(&self, resources: &Resources) -> Vec<Shortfall> {
        let mut missing = Vec::new();
        let sockets = resources.sockets.unwrap_or(1);
        if sockets < self.sockets {
            missing.push(Shortfall::Sockets { needed: self.sockets, found: sockets });
        }
        if resources.cores < self.cores {
            missing.push(Shortfall::Cores { needed: self.cores, found: resources.cores });
        }
        // A clock that the kernel does not tell is no reason to refuse a machine.
        if let (Some(needed), Some(found)) = (self.clock_mhz, resources.clock_mhz)
            && found < needed
        {
            missing.push(Shortfall::Clock { needed_mhz: needed, found_mhz: found });
        }
        if resources.memory_bytes < present(self.memory_gb, GIB) {
            let found_bytes = resources.memory_bytes;
            missing.push(Shortfall::Memory { needed_gb: self.memory_gb, found_bytes });
        }
        if resources.disk_bytes < present(self.disk_gb, GB) {
            let found_bytes = resources.disk_bytes;
            missing.push(Shortfall::Disk { needed_gb: self.disk_gb, found_bytes });
        }
        missing
    }
}

/// The least that is seen of a nominal size.
const fn present(nominal: u64, unit: u64) -> u64 {
    nominal.saturating_mul(unit / 100 * PRESENT_OF_NOMINAL)
}

/// Something that a machine has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortfall {
    /// Processor sockets in use.
    Sockets {
        /// The least.
        needed: u32,
        /// What there is.
        found: u32,
    },
    /// Cores.
    Cores {
        /// The least.
        needed: u32,
        /// What there is.
        found: u32,
    },
    /// Clock of a core.
    Clock {
        /// The least.
        needed_mhz: u32,
        /// What there is.
        found_mhz: u32,
    },
    /// Memory.
    Memory {
        /// The least, nominally, in GiB.
        needed_gb: u64,
        /// What there is.
        found_bytes: u64,
    },
    /// The file system that holds the data.
    Disk {
        /// The least, nominally, in GB.
        needed_gb: u64,
        /// What there is.
        found_bytes: u64,
    },
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sockets { needed, found } => {
                write!(f, "{needed} processor sockets needed, {found} found")
            }
            Self::Cores { needed, found } => {
                write!(f, "{needed} processor core(s) needed, {found} found")
            }
            Self::Clock { needed_mhz, found_mhz } => {
                write!(f, "a clock of {needed_mhz} MHz needed, {found_mhz} MHz found")
            }
            Self::Memory { needed_gb, found_bytes } => {
                write!(f, "{needed_gb} GB of memory needed, {} found", Size(*found_bytes, GIB))
            }
            Self::Disk { needed_gb, found_bytes } => {
                let found = Size(*found_bytes, GB);
                write!(f, "{needed_gb} GB of disk for the data needed, {found} found")
            }
        }
    }
}

/// A size in GB with one decimal, rounded down.
pub(crate) struct Size(u64, u64);

impl Size {
    pub(crate) const fn memory(bytes: u64) -> Self {
        Self(bytes, GIB)
    }

    pub(crate) const fn disk(bytes: u64) -> Self {
        Self(bytes, GB)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 / (self.1 / 10);
        write!(f, "{}.{} GB", tenths / 10, tenths % 10)
    }
}

/// The machine is below the smallest class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooSmall {
    /// What is missing for the smallest class; never empty.
    pub missing: Vec<Shortfall>,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this machine is too small to serve: ")?;
        for (i, shortfall) in self.missing.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{shortfall}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TooSmall {}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cores: u32, clock_mhz: u32, memory_gb: u64, disk_gb: u64) -> Resources {
        Resources {
            cores,
            sockets: Some(1),
            clock_mhz: Some(clock_mhz),
            memory_bytes: memory_gb * GIB,
            disk_bytes: disk_gb * GB,
            processor: None,
            is_virtual: true,
        }
    }

    #[test]
    fn size_picks_the_largest_class_that_is_carried() {
        let class = |r: &Resources| Class::by_size(r).map(Class::max_users);
        assert_eq!(class(&machine(1, 700, 2, 80)), Ok(500));
        assert_eq!(class(&machine(1, 1_500, 2, 80)), Ok(1_000));
        assert_eq!(class(&machine(1, 1_500, 4, 80)), Ok(2_500));
        assert_eq!(class(&machine(2, 2_600, 4, 80)), Ok(5_000));
        assert_eq!(class(&machine(64, 2_600, 512, 80)), Ok(5_000));
        assert_eq!(class(&machine(64, 2_600, 512, 2)), Ok(1_000), "the disk decides");
        assert_eq!(class(&machine(8, 2_600, 3, 80)), Ok(1_000), "the memory decides");
    }

    #[test]
    fn what_firmware_and_kernel_keep_is_allowed_for() {
        // 2 GiB as Linux shows it in a virtual machine of 2 GiB.
        let shown = Resources { memory_bytes: 2_014_248 * 1024, ..machine(1, 1_500, 0, 80) };
        assert_eq!(Class::by_size(&shown), Ok(Class::Mcs7825));
        let less = Resources { memory_bytes: 1_700 << 20, ..shown };
        let small = Class::by_size(&less).unwrap_err();
        assert_eq!(
            small.to_string(),
            "this machine is too small to serve: 2 GB of memory needed, 1.6 GB found"
        );
    }

    #[test]
    fn an_unknown_clock_does_not_count_against_a_machine() {
        let unknown = Resources { clock_mhz: None, ..machine(2, 0, 4, 80) };
        assert_eq!(Class::by_size(&unknown), Ok(Class::Mcs7845));
    }

    #[test]
    fn everything_that_is_missing_is_named() {
        let small = Class::by_size(&machine(0, 100, 1, 1)).unwrap_err();
        assert_eq!(small.missing.len(), 3, "{small}");
        let said = small.to_string();
        for word in ["core", "memory", "disk"] {
            assert!(said.contains(word), "{said}");
        }
    }
}
