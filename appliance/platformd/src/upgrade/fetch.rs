//! Fetching a bundle from another machine: what broke off goes on where it was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;

use super::Upgrades;
use crate::config::Config;
use crate::remote::http::{self, Believed};
use crate::remote::{Remote, Scheme, sftp};

/// The largest bundle that is taken.
pub(super) const MAX_BUNDLE_BYTES: u64 = 512 << 20;
/// Space that must remain.
const LEAST_FREE_BYTES: u64 = 256 << 20;
/// How much is written until the disk is to have it, so that other programs get their turn.
const SYNC_EVERY_BYTES: u64 = 8 << 20;
/// How often is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is there of a bundle, and whence.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    url: String,
    validator: Option<String>,
}

/// Where it is kept meanwhile.
struct Place {
    begun: PathBuf,
    part: PathBuf,
}

impl Place {
    fn new(config: &Config) -> Result<Self, String> {
        let directory = config.state_dir.join("fetch");
        std::fs::create_dir_all(&directory)
            .map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
        Ok(Self { begun: directory.join("begun.toml"), part: directory.join("part") })
    }

    fn read(&self) -> Begun {
        let text = std::fs::read_to_string(&self.begun).unwrap_or_default();
        toml::from_str(&text).unwrap_or_default()
    }

    fn note(&self, begun: &Begun) -> Result<(), String> {
        let text = toml::to_string(begun).map_err(|error| error.to_string())?;
        crate::file::replace(&self.begun, text.as_bytes(), 0o600)
            .map_err(|error| crate::platform::in_words(&error))
    }

    fn has_bytes(&self) -> u64 {
        std::fs::metadata(&self.part).map_or(0, |facts| facts.len())
    }

    fn clear(&self) {
        for path in [&self.part, &self.begun] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "cannot be removed");
                }
                _ => {}
            }
        }
    }

    /// # Errors
    /// It does not fit.
    fn check_room(&self, size_bytes: u64) -> Result<(), String> {
        if size_bytes > MAX_BUNDLE_BYTES {
            return Err(format!("it has {size_bytes} bytes, which no bundle has"));
        }
        let directory = self.part.parent().unwrap_or_else(|| Path::new("/"));
        let held = nix::sys::statvfs::statvfs(directory).map_err(|error| error.to_string())?;
        let free = held.blocks_available().saturating_mul(held.fragment_size());
        let wanted = size_bytes.saturating_sub(self.has_bytes()).saturating_add(LEAST_FREE_BYTES);
        if free >= wanted {
            return Ok(());
        }
        Err(format!(
            "there is too little space: {} MiB are free, and {} MiB are needed; \"file list upload\" \
             and \"file list capture\" show what may go",
            free >> 20,
            wanted >> 20
        ))
    }
}

/// Copies a bundle from a disk, which may be pulled then; the file is the caller's.
pub(super) fn copy(config: &Config, from: &Path) -> Result<PathBuf, String> {
    let words = |error: std::io::Error| format!("the bundle cannot be copied: {error}");
    let place = Place::new(config)?;
    place.clear();
    place.check_room(std::fs::metadata(from).map_err(words)?.len())?;
    std::fs::copy(from, &place.part).map_err(words)?;
    let whole = place.part.with_file_name(from.file_name().unwrap_or_default());
    std::fs::rename(&place.part, &whole).map_err(words)?;
    Ok(whole)
}

/// Fetches a bundle; the file is the caller's.
pub(super) async fn fetch(
    config: &Config,
    upgrades: &Upgrades,
    remote: &Remote,
    believed: &Believed,
) -> Result<PathBuf, String> {
    let place = Place::new(config)?;
    let name = remote.target.rsplit('/').next().unwrap_or_default();
    let name = name.split('?').next().unwrap_or_default();
    let whole = place.part.with_file_name(if name.is_empty() { "bundle" } else { name });
    if place.read().url != remote.to_string() {
        place.clear();
        place.note(&Begun { url: remote.to_string(), validator: None })?;
    }
    let fetched = match remote.scheme {
        Scheme::Sftp => by_sftp(config, upgrades, remote, &place).await,
        Scheme::Http | Scheme::Https => by_http(upgrades, remote, believed, &place).await,
    };
    fetched.map_err(|why| format!("{remote} was not fetched: {why}"))?;
    std::fs::rename(&place.part, &whole).map_err(|error| error.to_string())?;
    place.clear();
    Ok(whole)
}

async fn by_http(
    upgrades: &Upgrades,
    remote: &Remote,
    believed: &Believed,
    place: &Place,
) -> Result<(), String> {
    let begun = place.read();
    let resume = match (&begun.validator, place.has_bytes()) {
        (Some(validator), has) if has > 0 => Some((has, validator.as_str())),
        _ => None,
    };
    let mut fetched = match http::get(remote, believed, resume).await {
        Err(why) if resume.is_some() => {
            tracing::info!(why, "fetching from the beginning");
            http::get(remote, believed, None).await?
        }
        answered => answered?,
    };
    let mut has = fetched.offset;
    let words = |error: std::io::Error| format!("it cannot be kept: {error}");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&place.part)
        .await
        .map_err(words)?;
    file.set_len(has).await.map_err(words)?;
    tokio::io::AsyncSeekExt::seek(&mut file, std::io::SeekFrom::Start(has)).await.map_err(words)?;
    place.check_room(fetched.size_bytes.unwrap_or_default())?;
    place.note(&Begun { url: begun.url, validator: fetched.validator.clone() })?;
    let mut synced = has;
    while let Some(part) = fetched.next().await? {
        file.write_all(&part).await.map_err(words)?;
        has = has.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if has > MAX_BUNDLE_BYTES {
            return Err("it is larger than any bundle".to_owned());
        }
        if has.saturating_sub(synced) >= SYNC_EVERY_BYTES {
            synced = has;
            file.flush().await.map_err(words)?;
            file.sync_data().await.map_err(words)?;
            place.check_room(fetched.size_bytes.unwrap_or(has))?;
        }
        upgrades.progress(
            "",
            percent(has, fetched.size_bytes),
            format!("fetching: {} MiB", has >> 20),
        );
    }
    file.flush().await.map_err(words)?;
    file.sync_data().await.map_err(words)?;
    match fetched.size_bytes {
        Some(size) if size != has => Err(format!("{has} bytes came of {size}; ask again to go on")),
        _ => Ok(()),
    }
}

async fn by_sftp(
    config: &Config,
    upgrades: &Upgrades,
    remote: &Remote,
    place: &Place,
) -> Result<(), String> {
    let size = sftp::size(config, remote).await?;
    if place.has_bytes() > size {
        place.clear();
        place.note(&Begun { url: remote.to_string(), validator: None })?;
    }
    place.check_room(size)?;
    let get = sftp::get(config, remote, &place.part);
    tokio::pin!(get);
    loop {
        tokio::select! {
            got = &mut get => break got?,
            () = tokio::time::sleep(LOOK_EVERY) => {
                let has = place.has_bytes();
                upgrades.progress("", percent(has, Some(size)), format!("fetching: {} MiB", has >> 20));
            }
        }
    }
    let has = place.has_bytes();
    if has == size {
        Ok(())
    } else {
        Err(format!("{has} bytes came of {size}; ask again to go on"))
    }
}

fn percent(has: u64, size: Option<u64>) -> u8 {
    let Some(size) = size.filter(|size| *size > 0) else { return 0 };
    u8::try_from(has.saturating_mul(100) / size).unwrap_or(100).min(100)
}
