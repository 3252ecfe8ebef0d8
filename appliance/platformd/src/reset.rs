//! Back to the first day: settings, keys, users and logs are erased; what is in the slots stays.
//!
//! It is asked for by a file, and done at the next start before anything else runs. The file goes
//! last, so that a power cut only makes it begin again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::file::{self, WriteFailure};

/// What is kept: what is in the slots is of no user.
const KEPT: [&str; 3] = ["slots.toml", "rauc", "lost+found"];
/// Logs of former starts.
const JOURNALS: &str = "/var/log/journal";

fn mark(config: &Config) -> PathBuf {
    config.config_dir.join("factory-reset")
}

/// Has everything erased at the next start.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn ask_for(config: &Config) -> Result<(), WriteFailure> {
    file::replace(&mark(config), b"", 0o600)
}

/// Erases everything, where that was asked for.
///
/// # Errors
/// Something cannot be erased; it is tried again at the next start.
pub(crate) fn finish(config: &Config) -> io::Result<()> {
    let mark = mark(config);
    if !mark.exists() {
        return Ok(());
    }
    tracing::warn!("erasing settings and data");
    for directory in [&config.data_dir, &config.state_dir] {
        empty(directory, &[])?;
    }
    // Files that are in use now hold nothing yet but this start.
    if config.slot.is_some() {
        empty_of_files(Path::new(JOURNALS))?;
    }
    let name = mark.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let kept: Vec<&str> = KEPT.into_iter().chain([name]).collect();
    empty(&config.config_dir, &kept)?;
    fs::remove_file(&mark)?;
    fs::File::open(&config.config_dir)?.sync_all()
}

fn empty(directory: &Path, kept: &[&str]) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if kept.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::File::open(directory)?.sync_all()
}

/// Erases archived journals; those in use are named without an `@`.
fn empty_of_files(directory: &Path) -> io::Result<()> {
    for machine in fs::read_dir(directory).into_iter().flatten().flatten() {
        for entry in fs::read_dir(machine.path()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().contains('@') {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::empty;

    #[test]
    fn what_is_to_stay_stays_and_all_else_goes() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("ssh/deep")).unwrap();
        for name in ["settings.toml", "slots.toml", "ssh/deep/key"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        empty(dir.path(), &["slots.toml"]).unwrap();
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["slots.toml"]);
        empty(&dir.path().join("none"), &[]).unwrap();
    }
}
