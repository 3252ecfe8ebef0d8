//! The presence server's data: each slot has its own, so that whoever goes back finds what the
//! older version can read. A switch forward takes a copy along.

use std::cmp::Ordering;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use semver::Version;

/// What is not worth a copy: the presence server makes it anew.
const LEFT_OUT: [&str; 2] = ["reserve", "lock"];
/// Space that must remain beside the copy.
const LEAST_FREE_BYTES: u64 = 128 << 20;

/// What a switch does with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The other slot gets a copy of what the running one has.
    Carried,
    /// The other slot, whose version is older, has its own from when it last ran.
    Own,
}

/// What becomes of the data when `running` is left for `target`, whose slot's own data were last
/// used by `own`; none when `target` can read neither.
pub(super) fn fate(running: &str, target: &str, own: Option<&str>) -> Option<Fate> {
    match order(target, running)? {
        Ordering::Greater | Ordering::Equal => Some(Fate::Carried),
        Ordering::Less => (order(own?, target)? != Ordering::Greater).then_some(Fate::Own),
    }
}

fn order(a: &str, b: &str) -> Option<Ordering> {
    Some(Version::parse(a).ok()?.cmp(&Version::parse(b).ok()?))
}

/// Checks that a copy of a directory finds room.
///
/// # Errors
/// In words for an administrator.
pub(super) fn check_room(from: &Path) -> Result<(), String> {
    let measure = || -> io::Result<(u64, u64)> {
        let held = nix::sys::statvfs::statvfs(from)?;
        Ok((size(from)?, held.blocks_available().saturating_mul(held.fragment_size())))
    };
    let (needed, free) = match measure() {
        Ok(measured) => measured,
        // Where nothing was ever kept there is nothing to copy.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("the data cannot be measured: {error}")),
    };
    let wanted = needed.saturating_add(LEAST_FREE_BYTES);
    if free >= wanted {
        return Ok(());
    }
    Err(format!(
        "the data take {} MiB, and a copy of them does not fit: the data partition has {} MiB left, \
         and {} MiB are needed",
        needed >> 20,
        free >> 20,
        wanted >> 20
    ))
}

fn size(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        bytes = bytes.saturating_add(if facts.is_dir() {
            size(&entry.path())?
        } else {
            facts.blocks().saturating_mul(512)
        });
    }
    Ok(bytes)
}

/// Makes `to` a copy of `from`: a power cut leaves the old or the new one under its name, whole.
///
/// # Errors
/// In words for an administrator; `to` is then as it was.
pub(super) fn carry(from: &Path, to: &Path) -> Result<(), String> {
    let fresh = beside(to);
    let copy = || {
        remove(&fresh)?;
        if !from.exists() {
            return Ok(());
        }
        copy_directory(from, &fresh)?;
        let parent = to.parent().unwrap_or_else(|| Path::new("/"));
        if to.exists() {
            renameat2(AT_FDCWD, &fresh, AT_FDCWD, to, RenameFlags::RENAME_EXCHANGE)?;
        } else {
            fs::rename(&fresh, to)?;
        }
        File::open(parent)?.sync_all()?;
        remove(&fresh)
    };
    copy().map_err(|error: io::Error| {
        if let Err(error) = remove(&fresh) {
            tracing::warn!(%error, "what was copied in vain could not be removed");
        }
        format!("the data cannot be copied: {error}")
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    let facts = fs::metadata(from)?;
    DirBuilder::new().mode(facts.mode() & 0o777).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left| name == *left) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_directory(&entry.path(), &to.join(name))?;
        } else if kind.is_file() {
            copy_file(&entry.path(), &to.join(name))?;
        }
    }
    let made = File::open(to)?;
    fchown(&made, Some(facts.uid()), Some(facts.gid()))?;
    made.sync_all()
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let facts = source.metadata()?;
    let mut target =
        OpenOptions::new().write(true).create_new(true).mode(facts.mode() & 0o777).open(to)?;
    io::copy(&mut source, &mut target)?;
    fchown(&target, Some(facts.uid()), Some(facts.gid()))?;
    target.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Fate, carry, check_room, fate};

    #[test]
    fn forward_takes_the_data_along_and_back_finds_its_own() {
        assert_eq!(fate("1.2.0", "1.3.0", None), Some(Fate::Carried));
        assert_eq!(fate("1.2.0", "1.2.0", Some("1.1.0")), Some(Fate::Carried));
        assert_eq!(fate("1.10.0", "1.9.0", Some("1.9.0")), Some(Fate::Own));
        assert_eq!(fate("1.10.0", "1.9.1", Some("1.9.0")), Some(Fate::Own));
    }

    #[test]
    fn data_that_an_older_version_cannot_read_are_not_given_to_it() {
        assert_eq!(fate("1.3.0", "1.2.0", None), None);
        assert_eq!(fate("1.3.0", "1.2.0", Some("1.3.0")), None);
        assert_eq!(fate("1.3.0", "nonsense", Some("1.3.0")), None);
    }

    #[test]
    fn a_copy_replaces_what_was_there_with_modes_and_without_the_reserve() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir_all(from.join("store/engine")).unwrap();
        fs::write(from.join("store/engine/log"), "records").unwrap();
        fs::write(from.join("node.key"), "key").unwrap();
        fs::set_permissions(from.join("node.key"), fs::Permissions::from_mode(0o400)).unwrap();
        fs::write(from.join("reserve"), "room").unwrap();
        check_room(&from).unwrap();
        for _ in 0..2 {
            carry(&from, &to).unwrap();
            assert_eq!(fs::read(to.join("store/engine/log")).unwrap(), b"records");
            let mode = fs::metadata(to.join("node.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o400);
            assert!(!to.join("reserve").exists());
            // What the other slot has of its own goes.
            fs::write(to.join("old"), "old").unwrap();
            fs::create_dir_all(dir.path().join("b.new/torn")).unwrap();
        }
        carry(&from, &to).unwrap();
        assert!(!to.join("old").exists());
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "b"]);
    }

    #[test]
    fn what_was_never_there_is_no_trouble() {
        let dir = tempfile::tempdir().unwrap();
        check_room(&dir.path().join("a")).unwrap();
        carry(&dir.path().join("a"), &dir.path().join("b")).unwrap();
        assert!(!dir.path().join("b").exists());
    }
}
