//! Putting a backup in the place of everything.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use admin_api::platform::backup::BackupSource;
use admin_api::refusal::Refusal;
use admin_api::secret::Secret;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::{Gid, Uid, chown};
use semver::Version;
use tokio::time::Instant;

use super::archive::{self, Manifest, SETTINGS, SNAPSHOT};
use super::{Backups, place};
use crate::config::Config;
use crate::platform::Platform;
use crate::settings::Settings;

/// How long the presence server may take to start from a backup.
const START_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What says to the presence server that its store comes from a backup.
const RESTORED: &str = "restored";
/// The snapshot's name in a store: the first.
const FIRST_SNAPSHOT: &str = "snapshot-0000000000000001";

impl Backups {
    /// Begins to put a backup in the place of everything.
    pub(crate) fn restore(
        &self,
        platform: &Arc<Platform>,
        source: BackupSource,
        passphrase: Secret,
        with_network: bool,
    ) -> Result<(), Refusal> {
        self.begin("looking for the backup")?;
        let (backups, platform) = (self.clone(), Arc::clone(platform));
        tokio::spawn(async move {
            let done = backups.put_back(&platform, &source, &passphrase, with_network).await;
            backups.end(done);
        });
        Ok(())
    }

    async fn put_back(
        &self,
        platform: &Arc<Platform>,
        source: &BackupSource,
        passphrase: &Secret,
        with_network: bool,
    ) -> Result<String, String> {
        let config = platform.config();
        let path = place::bring(config, source).await?;
        self.step("decrypting");
        let fresh = config.data_dir.join("restore.new");
        let (from, to, secret) = (path.clone(), fresh.clone(), passphrase.clone());
        let manifest = tokio::task::spawn_blocking(move || archive::unpack(&from, &to, &secret))
            .await
            .map_err(|error| error.to_string())??;
        let checked = check_version(config, &manifest)
            .and_then(|()| Settings::load(&fresh.join(SETTINGS)).map_err(|e| format!("{e:#}")))
            .and_then(|settings| settings.ok_or_else(|| "the backup has no settings".to_owned()))
            .and_then(|settings| {
                settings.check().map_err(|refusal| refusal.what)?;
                prepare(config, &fresh)?;
                Ok(settings)
            });
        let settings = match checked {
            Ok(settings) => settings,
            Err(why) => {
                remove(&fresh);
                return Err(why);
            }
        };
        self.step("restarting the presence server with it");
        let before = platform.settings().await.ok_or("the appliance is not set up yet")?;
        let settings = if with_network { settings } else { settings.with_network_of(&before) };
        platform.stop_presence().await?;
        let data_dir = config.running_data_dir();
        let swapped = swap(&fresh.join("presence"), &data_dir);
        let done = match &swapped {
            Ok(()) => self.start(platform, settings, with_network).await,
            Err(why) => Err(why.clone()),
        };
        if let Err(why) = done {
            // Everything as it was.
            if swapped.is_ok() {
                platform.stop_presence().await?;
                swap(&fresh.join("presence"), &data_dir)?;
            }
            remove(&fresh);
            platform.adopt(before, with_network).await?;
            platform.start_presence().await?;
            return Err(format!("{why}; everything is as it was"));
        }
        remove(&fresh);
        let at = i64::try_from(manifest.created_unix_ms).unwrap_or_default();
        let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
        Ok(format!(
            "the backup of {} ({}) of {} was restored",
            manifest.host_name,
            manifest.domain,
            at.strftime("%Y-%m-%d %H:%M:%SZ")
        ))
    }

    /// Starts the presence server, until it serves.
    async fn start(
        &self,
        platform: &Platform,
        settings: Settings,
        with_network: bool,
    ) -> Result<(), String> {
        platform.adopt(settings, with_network).await?;
        platform.start_presence().await?;
        let deadline = Instant::now() + START_WITHIN;
        loop {
            match platform.ailment().await {
                None => return Ok(()),
                Some(ill) if ill.is_hopeless || Instant::now() > deadline => {
                    return Err(format!(
                        "the presence server does not start from it: {}",
                        ill.what
                    ));
                }
                Some(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}

fn check_version(config: &Config, manifest: &Manifest) -> Result<(), String> {
    let parse = |text: &str| Version::parse(text).map_err(|_| format!("{text:?} is no version"));
    if parse(&manifest.version)? <= parse(&config.version)? {
        return Ok(());
    }
    Err(format!(
        "the backup was made by version {}, and this is {}: upgrade first",
        manifest.version, config.version
    ))
}

/// Makes what was unpacked into what a presence server starts from.
fn prepare(config: &Config, fresh: &Path) -> Result<(), String> {
    let words = |error: std::io::Error| format!("the backup cannot be put in place: {error}");
    let presence = fresh.join("presence");
    let store = presence.join("store");
    fs::create_dir(&store).map_err(words)?;
    fs::rename(fresh.join(SNAPSHOT), store.join(FIRST_SNAPSHOT)).map_err(words)?;
    fs::write(presence.join(RESTORED), "").map_err(words)?;
    let owner = {
        use std::os::unix::fs::MetadataExt as _;
        let facts = fs::metadata(&config.data_dir).map_err(words)?;
        (Uid::from_raw(facts.uid()), Gid::from_raw(facts.gid()))
    };
    give(&presence, owner).map_err(words)
}

fn give(path: &Path, owner: (Uid, Gid)) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let facts = fs::symlink_metadata(path)?;
    let mode = if facts.is_dir() { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    chown(path, Some(owner.0), Some(owner.1))?;
    if facts.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
        fs::File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// Exchanges two directories, at once.
fn swap(one: &Path, other: &Path) -> Result<(), String> {
    let words = |error: std::io::Error| format!("the data cannot be exchanged: {error}");
    if !other.exists() {
        fs::create_dir_all(other).map_err(words)?;
    }
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
        .map_err(|error| words(error.into()))?;
    fs::File::open(other.parent().unwrap_or_else(|| Path::new("/")))
        .and_then(|directory| directory.sync_all())
        .map_err(words)
}

fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory) {
        tracing::warn!(%error, "what was unpacked could not be removed");
    }
}
