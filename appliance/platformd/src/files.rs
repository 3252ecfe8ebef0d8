//! Files that an administrator may see: captures and uploads, by name only.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use admin_api::platform::answer::{File, FilePart};
use admin_api::platform::request::{FileArea, MAX_FILE_PART_BYTES};
use admin_api::refusal::{Refusal, RefusalCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::Config;

/// Captures that are kept.
const MOST_CAPTURES: usize = 20;
/// Space that a new capture must find.
const LEAST_FREE_BYTES: u64 = 256 << 20;

/// Where the files of an area are.
pub(crate) fn directory(config: &Config, area: FileArea) -> PathBuf {
    config.state_dir.join(match area {
        FileArea::Capture => "capture",
        FileArea::Upload => "upload",
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
