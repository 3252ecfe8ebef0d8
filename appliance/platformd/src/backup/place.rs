//! Where backups are left, and come from.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use admin_api::platform::backup::{BackupFile, BackupPlace, BackupSource};

use crate::config::Config;
use crate::disk::Attached;
use crate::files;
use crate::remote::http::{self, Believed};
use crate::remote::{self, Remote, Scheme, sftp};

/// How a backup's name ends.
pub(super) const EXTENSION: &str = ".lamplight.age";
/// How many are kept on this machine.
pub(super) const KEPT_HERE: usize = 3;
/// The largest backup that is fetched.
const MOST_BYTES: u64 = 4 << 30;

/// A place in words, without its secrets.
pub(super) fn in_words(place: &BackupPlace) -> String {
    match place {
        BackupPlace::Here => "this machine".to_owned(),
        BackupPlace::Disk => "the disk LAMPLIGHT".to_owned(),
        BackupPlace::Url { url, .. } => url.clone(),
    }
}

/// Leaves a backup in a place, and deletes older ones of the same machine there but `keep` of
/// them, where that can be done.
///
/// # Errors
/// In words for an administrator.
pub(super) async fn leave(
    config: &Config,
    place: &BackupPlace,
    backup: &Path,
    prefix: &str,
    keep: u32,
) -> Result<(), String> {
    let name = backup.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match place {
        BackupPlace::Here => Ok(()),
        BackupPlace::Disk => {
            let (mount_on, backup) = (config.run_dir.join("backup"), backup.to_owned());
            let prefix = prefix.to_owned();
            tokio::task::spawn_blocking(move || {
                let disk = Attached::mount_to_write(&mount_on)?;
                copy_whole(&backup, &disk.directory().join(&name))
                    .map_err(|error| format!("the disk does not take it: {error}"))?;
                for old in too_many(names_in(disk.directory()), &prefix, keep) {
                    if let Err(error) = fs::remove_file(disk.directory().join(&old)) {
                        tracing::warn!(old, %error, "an old backup cannot be deleted");
                    }
                }
                Ok(())
            })
            .await
            .map_err(|error| error.to_string())?
        }
        BackupPlace::Url { url, password } => {
            let directory = Remote::parse(url, password.clone())?;
            let file = directory.joined(&name);
            match directory.scheme {
                Scheme::Sftp => {
                    sftp::put(config, &file, backup).await?;
                    let there = sftp::list(config, &directory).await?;
                    for old in too_many(there, prefix, keep) {
                        if let Err(error) = sftp::delete(config, &directory.joined(&old)).await {
                            tracing::warn!(old, error, "an old backup cannot be deleted");
                        }
                    }
                    Ok(())
                }
                Scheme::Https => {
                    let Believed::Given(pem) = remote::believed(config, &file)? else {
                        return Err(
                            "no server's certificate is trusted, so that no backup is left: \
                                    \"set trust\" takes certificates"
                                .to_owned(),
                        );
                    };
                    let content = tokio::fs::File::open(backup).await.map_err(|e| e.to_string())?;
                    let size = content.metadata().await.map_err(|e| e.to_string())?.len();
                    http::put(&file, &Believed::Given(pem), content, size).await
                }
                Scheme::Http => Err("a backup is left by https or sftp".to_owned()),
            }
        }
    }
}

/// Names in order, the oldest first, of those that are more than `keep`.
fn too_many(mut names: Vec<String>, prefix: &str, keep: u32) -> Vec<String> {
    names.retain(|name| name.starts_with(prefix) && name.ends_with(EXTENSION));
    names.sort();
    let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
    names.truncate(names.len().saturating_sub(keep));
    names
}

fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let part = to.with_extension("part");
    fs::copy(from, &part)?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, to)?;
    File::open(to.parent().unwrap_or_else(|| Path::new("/")))?.sync_all()
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn files_in(directory: &Path) -> Vec<BackupFile> {
    let mut names = names_in(directory);
    names.retain(|name| name.ends_with(EXTENSION));
    names.sort();
    let size = |name: &String| fs::metadata(directory.join(name)).ok().map(|facts| facts.len());
    names.into_iter().map(|name| BackupFile { size_bytes: size(&name), name }).collect()
}

/// Where the backups are that were made here.
pub(super) fn here(config: &Config) -> PathBuf {
    files::directory(config, admin_api::platform::request::FileArea::Backup)
}

/// Deletes the oldest backups here.
pub(super) fn tidy_here(config: &Config) {
    let directory = here(config);
    let keep = u32::try_from(KEPT_HERE).unwrap_or(u32::MAX);
    for old in too_many(names_in(&directory), "", keep) {
        if let Err(error) = fs::remove_file(directory.join(&old)) {
            tracing::warn!(old, %error, "an old backup cannot be deleted");
        }
    }
}

/// The backups in a place.
///
/// # Errors
/// In words for an administrator.
pub(super) async fn list(config: &Config, place: &BackupPlace) -> Result<Vec<BackupFile>, String> {
    match place {
        BackupPlace::Here => Ok(files_in(&here(config))),
        BackupPlace::Disk => {
            let disk = Attached::mount(&config.run_dir.join("backup"))?;
            Ok(files_in(disk.directory()))
        }
        BackupPlace::Url { url, password } => {
            let directory = Remote::parse(url, password.clone())?;
            if directory.scheme != Scheme::Sftp {
                return Err("a web server does not say what it has: look there".to_owned());
            }
            let mut names = sftp::list(config, &directory).await?;
            names.retain(|name| name.ends_with(EXTENSION));
            names.sort();
            Ok(names.into_iter().map(|name| BackupFile { name, size_bytes: None }).collect())
        }
    }
}

/// Brings a backup here, and says where it is.
///
/// # Errors
/// In words for an administrator.
pub(super) async fn bring(config: &Config, source: &BackupSource) -> Result<PathBuf, String> {
    let fetched = config.state_dir.join("restore.age");
    match source {
        BackupSource::Here { name } => {
            files::named(config, admin_api::platform::request::FileArea::Backup, name)
                .map_err(|refusal| refusal.what)
        }
        BackupSource::Upload { name } => {
            files::named(config, admin_api::platform::request::FileArea::Upload, name)
                .map_err(|refusal| refusal.what)
        }
        BackupSource::Disk { name } => {
            let disk = Attached::mount(&config.run_dir.join("backup"))?;
            let there = files_in(disk.directory());
            let found = match name {
                Some(name) => there.iter().find(|file| file.name == *name),
                None => there.last(),
            };
            let found = found.ok_or("the disk LAMPLIGHT has no such backup")?;
            copy_whole(&disk.directory().join(&found.name), &fetched)
                .map_err(|error| format!("it cannot be copied from the disk: {error}"))?;
            Ok(fetched)
        }
        BackupSource::Url { url, password } => {
            let remote = Remote::parse(url, password.clone())?;
            if remote.scheme == Scheme::Sftp {
                // What is left of an earlier attempt is not gone on with.
                let _ = fs::remove_file(&fetched);
                sftp::get(config, &remote, &fetched).await?;
            } else {
                by_http(config, &remote, &fetched).await?;
            }
            Ok(fetched)
        }
    }
}

async fn by_http(config: &Config, remote: &Remote, to: &Path) -> Result<(), String> {
    use tokio::io::AsyncWriteExt as _;
    let words = |error: io::Error| format!("it cannot be kept: {error}");
    let mut fetched = http::get(remote, &remote::believed(config, remote)?, None).await?;
    let mut file = tokio::fs::File::create(to).await.map_err(words)?;
    let mut has = 0_u64;
    while let Some(part) = fetched.next().await? {
        has = has.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if has > MOST_BYTES {
            return Err("it is larger than any backup".to_owned());
        }
        file.write_all(&part).await.map_err(words)?;
    }
    file.flush().await.map_err(words)?;
    file.sync_all().await.map_err(words)
}

#[cfg(test)]
mod tests {
    use super::too_many;

    #[test]
    fn the_oldest_of_this_machine_go() {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let there = names(&[
            "a-3.lamplight.age",
            "a-1.lamplight.age",
            "a-2.lamplight.age",
            "b-0.lamplight.age",
            "a-0.txt",
        ]);
        assert_eq!(too_many(there.clone(), "a-", 2), names(&["a-1.lamplight.age"]));
        assert_eq!(too_many(there.clone(), "a-", 9), names(&[]));
        assert_eq!(too_many(there, "a-", 0).len(), 2);
    }
}
