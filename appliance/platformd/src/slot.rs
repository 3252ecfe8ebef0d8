//! Which slot runs, and the counters by which the boot loader chooses one.
//!
//! The boot loader counts a start before it makes it; a slot that was started three times without
//! being marked good is passed over. The counters stand in GRUB's environment block, a file of
//! 1,024 octets on the EFI system partition, which is overwritten where it lies: a file that is
//! truncated and written anew could be lost in a power cut.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// How long the block is.
const BLOCK_BYTES: usize = 1_024;

/// What it begins with.
const HEADING: &str = "# GRUB Environment Block\n";

/// A slot that was started so often without being marked good is passed over.
const MOST_TRIES: &str = "3";

/// One of the two places that software is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The slot named on a kernel command line; absent where the appliance was not started from
    /// one.
    pub(crate) fn from_command_line(command_line: &str) -> Option<Self> {
        let name = command_line.split_whitespace().find_map(|word| word.strip_prefix("rauc.slot="));
        Self::named(name?)
    }

    /// The slot with a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "A" => Some(Self::A),
            "B" => Some(Self::B),
            _ => None,
        }
    }

    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The counters cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountersFailure {
    /// The partition cannot be mounted.
    #[error("cannot mount {} on {}", device.display(), directory.display())]
    Mount {
        /// What.
        device: PathBuf,
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: nix::Error,
    },
    /// The file cannot be read or written.
    #[error("cannot access {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is no environment block of GRUB", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// The variables do not fit.
    #[error("the variables take {bytes} bytes; the block has {BLOCK_BYTES}")]
    TooLong {
        /// How many they would take.
        bytes: usize,
    },
}

/// The variables of an environment block, in the order in which they stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    /// Reads a block; absent when it is none.
    pub(crate) fn parse(block: &[u8]) -> Option<Self> {
        if block.len() != BLOCK_BYTES {
            return None;
        }
        let text = std::str::from_utf8(block).ok()?.strip_prefix(HEADING)?;
        let mut variables = Vec::new();
        for line in text.lines() {
            if line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=')?;
            variables.push((name.to_owned(), value.to_owned()));
        }
        Some(Self(variables))
    }

    /// Gives a variable this value.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The block.
    ///
    /// # Errors
    /// [`CountersFailure::TooLong`].
    pub(crate) fn encode(&self) -> Result<Vec<u8>, CountersFailure> {
        let mut block = HEADING.as_bytes().to_vec();
        for (name, value) in &self.0 {
            block.extend_from_slice(format!("{name}={value}\n").as_bytes());
        }
        if block.len() > BLOCK_BYTES {
            return Err(CountersFailure::TooLong { bytes: block.len() });
        }
        block.resize(BLOCK_BYTES, b'#');
        Ok(block)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the boot loader would start a slot: it is good, and was not tried too often.
    pub(crate) fn is_startable(&self, slot: Slot) -> bool {
        let is = |what: &str, value: &str| self.get(&format!("{slot}_{what}")) == Some(value);
        is("OK", "1") && !is("TRY", MOST_TRIES)
    }

    /// Whether a slot's contents are whole.
    pub(crate) fn is_good(&self, slot: Slot) -> bool {
        self.get(&format!("{slot}_OK")) == Some("1")
    }

    /// How often a slot was started since it was last marked good.
    pub(crate) fn tries(&self, slot: Slot) -> u32 {
        self.get(&format!("{slot}_TRY")).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The slot that the boot loader starts next.
    pub(crate) fn primary(&self) -> Slot {
        let order = self.get("ORDER").unwrap_or("A B").split_whitespace().filter_map(Slot::named);
        let mut slots = order.clone().filter(|slot| self.is_startable(*slot));
        // Where none is left, the counts begin again.
        slots.next().or_else(|| order.clone().find(|slot| self.is_good(*slot))).unwrap_or(Slot::A)
    }

    /// Has a slot started first from now on, as one that was not tried yet.
    pub(crate) fn set_primary(&mut self, slot: Slot) {
        self.set("ORDER", &format!("{slot} {}", slot.other()));
        self.mark_good(slot);
    }

    /// Keeps a slot from being started.
    pub(crate) fn mark_bad(&mut self, slot: Slot) {
        self.set(&format!("{slot}_OK"), "0");
    }

    /// Marks a slot good: it may be started, and no start counts against it.
    pub(crate) fn mark_good(&mut self, slot: Slot) {
        self.set(&format!("{slot}_OK"), "1");
        self.set(&format!("{slot}_TRY"), "0");
    }
}

/// The partition with the counters, mounted as long as this lives.
#[derive(Debug)]
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(device: &Path, directory: &'a Path) -> Result<Self, CountersFailure> {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some(device), directory, Some("vfat"), flags, None::<&str>).map_err(|source| {
            CountersFailure::Mount {
                device: device.to_owned(),
                directory: directory.to_owned(),
                source,
            }
        })?;
        Ok(Self(directory))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if let Err(error) = umount2(self.0, MntFlags::MNT_DETACH) {
            tracing::warn!(directory = %self.0.display(), %error, "cannot unmount");
        }
    }
}

/// The counters on the partition `device`, which is mounted on `directory` meanwhile.
///
/// # Errors
/// [`CountersFailure`].
pub(crate) fn counters(device: &Path, directory: &Path) -> Result<Environment, CountersFailure> {
    let mounted = Mounted::new(device, directory)?;
    Ok(open(&mounted.0.join("grubenv"))?.1)
}

/// Changes the counters on the partition `device`.
///
/// # Errors
/// [`CountersFailure`]; the counters are then as before.
pub(crate) fn change_counters(
    device: &Path,
    directory: &Path,
    change: impl FnOnce(&mut Environment),
) -> Result<(), CountersFailure> {
    let mounted = Mounted::new(device, directory)?;
    change_in(&mounted.0.join("grubenv"), change)
}

fn change_in(path: &Path, change: impl FnOnce(&mut Environment)) -> Result<(), CountersFailure> {
    let (file, before) = open(path)?;
    let mut environment = before.clone();
    change(&mut environment);
    if environment != before {
        file.write_all_at(&environment.encode()?, 0)
            .map_err(|source| CountersFailure::File { path: path.to_owned(), source })?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<(File, Environment), CountersFailure> {
    let failed = |source| CountersFailure::File { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(nix::libc::O_DSYNC);
    let mut file = options.open(path).map_err(failed)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    file.read_to_end(&mut block).map_err(failed)?;
    let environment = Environment::parse(&block)
        .ok_or_else(|| CountersFailure::Malformed { path: path.to_owned() })?;
    Ok((file, environment))
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, Environment, Slot, change_in};

    /// As `grub-editenv` writes it.
    fn block(variables: &str) -> Vec<u8> {
        let mut block = format!("# GRUB Environment Block\n{variables}").into_bytes();
        block.resize(1_024, b'#');
        block
    }

    #[test]
    fn the_running_slot_is_named_on_the_command_line() {
        assert_eq!(Slot::from_command_line("ro rauc.slot=B quiet"), Some(Slot::B));
        assert_eq!(Slot::from_command_line("rauc.slot=C"), None);
        assert_eq!(Slot::from_command_line("ro quiet"), None);
    }

    #[test]
    fn a_good_slot_has_its_count_set_back_and_nothing_else_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grubenv");
        std::fs::write(&path, block("ORDER=B A\nA_OK=1\nA_TRY=3\nB_OK=0\nB_TRY=2\n")).unwrap();
        change_in(&path, |counters| counters.mark_good(Slot::B)).unwrap();
        let expected = block("ORDER=B A\nA_OK=1\nA_TRY=3\nB_OK=1\nB_TRY=0\n");
        assert_eq!(std::fs::read(&path).unwrap(), expected);
    }

    #[test]
    fn a_slot_is_startable_when_it_is_good_and_was_not_tried_too_often() {
        let environment = |text| Environment::parse(&block(text)).unwrap();
        assert!(environment("A_OK=1\nA_TRY=2\n").is_startable(Slot::A));
        assert!(!environment("A_OK=1\nA_TRY=3\n").is_startable(Slot::A));
        assert!(!environment("A_OK=0\nA_TRY=0\n").is_startable(Slot::A));
        assert!(!environment("A_OK=1\nA_TRY=0\n").is_startable(Slot::B));
    }

    #[test]
    fn the_first_startable_slot_in_order_is_next_and_another_can_be_chosen() {
        let mut environment =
            Environment::parse(&block("ORDER=A B\nA_OK=1\nA_TRY=3\nB_OK=1\nB_TRY=1\n")).unwrap();
        assert_eq!(environment.primary(), Slot::B);
        environment.set_primary(Slot::A);
        assert_eq!((environment.primary(), environment.tries(Slot::A)), (Slot::A, 0));
        environment.mark_bad(Slot::A);
        assert_eq!(environment.primary(), Slot::B);
        assert_eq!(environment.tries(Slot::B), 1);
    }

    #[test]
    fn what_is_no_block_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grubenv");
        for wrong in [&b""[..], b"A_OK=1\n", &block("nonsense\n"), &block("A=1\n")[1..]] {
            std::fs::write(&path, wrong).unwrap();
            assert!(change_in(&path, |counters| counters.mark_good(Slot::A)).is_err());
            assert_eq!(std::fs::read(&path).unwrap(), wrong);
        }
        assert!(change_in(&dir.path().join("none"), |_| ()).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut environment = Environment::parse(&block("A_OK=1\n")).unwrap();
        environment.set("NOTE", &"x".repeat(BLOCK_BYTES));
        assert!(environment.encode().is_err());
    }
}
