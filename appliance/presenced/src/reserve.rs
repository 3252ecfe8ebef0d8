//! Room on the disk that is kept for starts: a full disk must not keep the service from coming up,
//! as nobody could then make room. A file holds it; a start that finds the disk full takes a part.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

/// What is kept.
const WHOLE_BYTES: u64 = 64 << 20;
/// What a start may take of it.
const STEP_BYTES: u64 = 8 << 20;
/// Less room than this is too little to go on with.
pub(crate) const LOW_BYTES: u64 = 128 << 20;

/// The file that holds the room.
#[derive(Debug, Clone)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// The one of a data directory.
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join("reserve") }
    }

    /// Bytes that are free on its disk.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        let directory = self.path.parent().unwrap_or_else(|| Path::new("."));
        let held = statvfs(directory)?;
        Ok(held.blocks_available().saturating_mul(held.fragment_size()))
    }

    /// Gives a part of it up. Whether there was any.
    pub(crate) fn release(&self) -> io::Result<bool> {
        let file = match OpenOptions::new().write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let held = file.metadata()?.len();
        if held == 0 {
            return Ok(false);
        }
        file.set_len(held.saturating_sub(STEP_BYTES))?;
        file.sync_all()?;
        Ok(true)
    }

    /// Makes it whole where that leaves room enough.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let held = std::fs::metadata(&self.path).map_or(0, |data| data.len());
        let is_roomy = self.free_bytes()? > 2 * LOW_BYTES + WHOLE_BYTES;
        if held >= WHOLE_BYTES || !is_roomy {
            return Ok(());
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)?;
        let length = i64::try_from(WHOLE_BYTES).unwrap_or(i64::MAX);
        fallocate(&file, FallocateFlags::empty(), 0, length)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::{Reserve, STEP_BYTES, WHOLE_BYTES};

    #[test]
    fn a_part_is_given_up_at_a_time_until_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        assert!(!reserve.release().unwrap(), "there is none yet");
        reserve.fill().unwrap();
        let held = || std::fs::metadata(dir.path().join("reserve")).unwrap().len();
        assert_eq!(held(), WHOLE_BYTES);
        assert!(reserve.release().unwrap());
        assert_eq!(held(), WHOLE_BYTES - STEP_BYTES);
        reserve.fill().unwrap();
        assert_eq!(held(), WHOLE_BYTES);
        let mut given_up = 0;
        while reserve.release().unwrap() {
            given_up += 1;
        }
        assert_eq!(given_up, WHOLE_BYTES / STEP_BYTES);
    }
}
