//! Files that an administrator may see: captures and uploads, by name only.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use admin_api::platform::answer::{File, FilePart};
use admin_api::platform::request::{FileArea, MAX_FILE_PART_BYTES};
use admin_api::refusal::{Refusal, RefusalCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::Config;

/// The largest file that can be left.
const MAX_UPLOAD_BYTES: u64 = 512 << 20;
/// Captures that are kept.
const MOST_CAPTURES: usize = 20;
/// Space that a new capture must find.
const LEAST_FREE_BYTES: u64 = 256 << 20;

/// Where the files of an area are.
pub(crate) fn directory(config: &Config, area: FileArea) -> PathBuf {
    config.state_dir.join(match area {
        FileArea::Capture => "capture",
        FileArea::Upload => "upload",
        FileArea::Backup => "backup",
    })
}

/// Whether this is the name of a file and nothing more.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !name.starts_with(['.', '-'])
}

fn checked(directory: &Path, name: &str) -> Result<PathBuf, Refusal> {
    if is_name(name) {
        return Ok(directory.join(name));
    }
    Err(Refusal::new(
        RefusalCode::InvalidValue,
        format!("{name:?} is no name of a file"),
        "FILE",
        "use letters, digits, dots, hyphens and underscores, 100 at most",
    ))
}

fn not_found(name: &str) -> Refusal {
    Refusal::new(
        RefusalCode::NotFound,
        format!("there is no file {name:?}"),
        "FILE",
        "\"file list\" lists them",
    )
}

/// The files of an area, in order of name. Anything but plain files is passed over.
pub(crate) fn list(config: &Config, area: FileArea) -> Vec<File> {
    let Ok(entries) = std::fs::read_dir(directory(config, area)) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let facts = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let modified = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(File {
                name: entry.file_name().into_string().ok()?,
                size_bytes: facts.len(),
                modified_unix_ms: u64::try_from(modified.as_millis()).ok()?,
            })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// A part of a file. Links are not followed.
pub(crate) fn read(
    config: &Config,
    area: FileArea,
    name: &str,
    offset: u64,
    limit_bytes: u32,
) -> Result<FilePart, Refusal> {
    let path = checked(&directory(config, area), name)?;
    let read = || {
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(&path)?;
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        }
        file.seek(SeekFrom::Start(offset))?;
        let mut part = Vec::new();
        let limit = u64::from(limit_bytes.clamp(1, MAX_FILE_PART_BYTES));
        file.take(limit).read_to_end(&mut part)?;
        Ok(FilePart { base64: STANDARD.encode(part), size_bytes: facts.len() })
    };
    read().map_err(|_| not_found(name))
}

/// Deletes a file.
pub(crate) fn delete(config: &Config, area: FileArea, name: &str) -> Result<(), Refusal> {
    let path = checked(&directory(config, area), name)?;
    std::fs::remove_file(path).map_err(|_| not_found(name))
}

/// The path of a file of an area.
pub(crate) fn named(config: &Config, area: FileArea, name: &str) -> Result<PathBuf, Refusal> {
    let path = checked(&directory(config, area), name)?;
    match std::fs::symlink_metadata(&path) {
        Ok(facts) if facts.is_file() => Ok(path),
        _ => Err(not_found(name)),
    }
}

/// Adds a part to a file of the upload area. There is one such file at a time, as there is one
/// that is installed.
pub(crate) fn write_upload(
    config: &Config,
    name: &str,
    offset: u64,
    base64: &str,
) -> Result<(), Refusal> {
    let directory = directory(config, FileArea::Upload);
    let path = checked(&directory, name)?;
    let part = STANDARD
        .decode(base64)
        .ok()
        .filter(|part| part.len() <= usize::try_from(MAX_FILE_PART_BYTES).unwrap_or(usize::MAX));
    let Some(part) = part else {
        return Err(unacceptable(name, "a part of it is no Base64, or too large"));
    };
    let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
    if offset.saturating_add(length) > MAX_UPLOAD_BYTES {
        return Err(unacceptable(name, "it is too large"));
    }
    let write = || {
        std::fs::create_dir_all(&directory)?;
        if offset == 0 {
            for other in list(config, FileArea::Upload) {
                std::fs::remove_file(directory.join(other.name))?;
            }
        }
        let held = nix::sys::statvfs::statvfs(&directory)?;
        let free = held.blocks_available().saturating_mul(held.fragment_size());
        if free < LEAST_FREE_BYTES {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
        }
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(offset == 0)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&path)?;
        if file.metadata()?.len() != offset {
            return Err(std::io::Error::other("its parts do not follow one another"));
        }
        file.write_all(&part)
    };
    write().map_err(|error| unacceptable(name, &error.to_string()))
}

fn unacceptable(name: &str, why: &str) -> Refusal {
    Refusal::new(
        RefusalCode::InvalidValue,
        format!("{name} is not taken: {why}"),
        "file put upload",
        "begin again",
    )
}

/// The path of a new capture, when there is room for one.
pub(crate) fn new_capture(directory: &Path, name: &str) -> Result<PathBuf, Refusal> {
    let path = checked(directory, &format!("{name}.pcap"))?;
    let full = |what: String, next: &str| Refusal::new(RefusalCode::TooLarge, what, "FILE", next);
    std::fs::create_dir_all(directory).map_err(|error| {
        full(format!("captures cannot be kept: {error}"), "\"show status\" shows the disk")
    })?;
    if path.exists() {
        return Err(full(
            format!("there is a file {name}.pcap already"),
            "choose another name, or delete it with \"file delete capture\"",
        ));
    }
    if std::fs::read_dir(directory).is_ok_and(|entries| entries.count() >= MOST_CAPTURES) {
        return Err(full(
            format!("there are {MOST_CAPTURES} captures already"),
            "delete some with \"file delete capture\"",
        ));
    }
    let free = nix::sys::statvfs::statvfs(directory)
        .map_or(0, |disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
    if free < LEAST_FREE_BYTES {
        return Err(full(
            "there is too little space on the disk".to_owned(),
            "delete captures with \"file delete capture\"",
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(is_name("trunk-1.pcap"));
        for wrong in ["", "..", ".x", "a/b", "/etc/shadow", "a\0b", "-x", "a b", "ä"] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }
}
