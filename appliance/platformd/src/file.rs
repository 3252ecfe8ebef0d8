//! Writing files so that a power cut leaves the old or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub(crate) struct WriteFailure {
    /// Which.
    pub(crate) path: PathBuf,
    /// Why.
    #[source]
    pub(crate) source: io::Error,
}

/// Replaces a file, and waits until the disk has it.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), WriteFailure> {
    let failed = |source| WriteFailure { path: path.to_owned(), source };
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(directory).map_err(failed)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = directory.join(name);
    let write = || {
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(failed)
}

/// Replaces a link.
pub(crate) fn replace_link(path: &Path, target: &Path) -> Result<(), WriteFailure> {
    let failed = |source| WriteFailure { path: path.to_owned(), source };
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::os::unix::fs::symlink(target, &fresh)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{replace, replace_link};

    #[test]
    fn a_file_is_replaced_with_its_mode_even_after_a_torn_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep").join("settings");
        replace(&path, b"one", 0o644).unwrap();
        std::fs::write(path.with_file_name("settings.new"), "torn").unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("localtime");
        replace_link(&path, "/usr/share/zoneinfo/UTC".as_ref()).unwrap();
        replace_link(&path, "/usr/share/zoneinfo/Europe/Berlin".as_ref()).unwrap();
        let target = std::fs::read_link(&path).unwrap();
        assert_eq!(target.to_str(), Some("/usr/share/zoneinfo/Europe/Berlin"));
    }
}
