//! A disk that an administrator attaches, found by its label and mounted so that nothing on it can
//! act.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// What such a disk is called.
pub(crate) const LABEL: &str = "LAMPLIGHT";
/// The file systems that it may have.
const KINDS: [&str; 3] = ["vfat", "iso9660", "ext4"];

/// Where udev names it.
pub(crate) fn link() -> PathBuf {
    Path::new("/dev/disk/by-label").join(LABEL)
}

/// The disk, mounted as long as this lives.
#[derive(Debug)]
pub(crate) struct Attached(PathBuf);

impl Attached {
    /// Mounts it to be read on a directory, which is made.
    ///
    /// # Errors
    /// What is wrong, in words for the administrator.
    pub(crate) fn mount(directory: &Path) -> Result<Self, String> {
        Self::mount_as(directory, MsFlags::MS_RDONLY)
    }

    /// The same to be written to, too.
    ///
    /// # Errors
    /// What is wrong, in words for the administrator.
    pub(crate) fn mount_to_write(directory: &Path) -> Result<Self, String> {
        Self::mount_as(directory, MsFlags::empty())
    }

    fn mount_as(directory: &Path, how: MsFlags) -> Result<Self, String> {
        let device = link();
        if !device.exists() {
            return Err(format!("there is no disk labelled {LABEL}"));
        }
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
        let flags = how | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let is_mounted = KINDS
            .iter()
            .any(|kind| mount(Some(&device), directory, Some(*kind), flags, None::<&str>).is_ok());
        if !is_mounted {
            return Err(if how.contains(MsFlags::MS_RDONLY) {
                format!("the disk {LABEL} has no FAT, ISO 9660 or ext4 file system")
            } else {
                format!("the disk {LABEL} cannot be written to, or has no FAT or ext4 file system")
            });
        }
        Ok(Self(directory.to_owned()))
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.0, MntFlags::MNT_DETACH) {
            tracing::warn!(%error, "the disk {LABEL} could not be unmounted");
        }
    }
}
