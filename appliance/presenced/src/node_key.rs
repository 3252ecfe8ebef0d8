//! The node's secret key, made once and kept: nonces that it signs stay good over a restart.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Bytes of the key.
const LENGTH: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeKeyFailure {
    /// The file cannot be read or written.
    #[error("{}: cannot keep the node's key", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The machine has no randomness.
    #[error("the machine gives no random numbers")]
    Random(#[source] getrandom::Error),
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NodeKeyFailure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NodeKeyFailure::Random)?;
    Ok(bytes)
}

/// Reads the key, making it at the first start.
pub(crate) fn load(data_dir: &Path) -> Result<[u8; LENGTH], NodeKeyFailure> {
    let path = data_dir.join("node.key");
    let failure = |source| NodeKeyFailure::File { path: path.clone(), source };
    match read(&path) {
        Ok(key) => Ok(key),
        // A key of the wrong length was cut off by a power loss at the very first start.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) =>
        {
            let key = random()?;
            write(&path, &key).map_err(failure)?;
            Ok(key)
        }
        Err(error) => Err(failure(error)),
    }
}

fn read(path: &Path) -> io::Result<[u8; LENGTH]> {
    let mut key = [0; LENGTH];
    std::fs::File::open(path)?.read_exact(&mut key)?;
    Ok(key)
}

fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(key)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let key = load(dir.path()).unwrap();
        assert_ne!(key, [0; LENGTH]);
        assert_eq!(load(dir.path()).unwrap(), key);
        let file = dir.path().join("node.key");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "cut off").unwrap();
        assert_ne!(load(dir.path()).unwrap(), key);
    }
}
