//! Where a bundle comes from.

use std::path::{Path, PathBuf};

use admin_api::platform::request::FileArea;
use admin_api::platform::upgrade::UpgradeSource;

use super::Upgrades;
use super::fetch::{self, MAX_BUNDLE_BYTES};
use crate::config::Config;
use crate::disk::Attached;
use crate::files;
use crate::remote::{self, Remote};

const EXTENSION: &str = "raucb";

/// A bundle on the data partition.
#[derive(Debug)]
pub(super) struct Found {
    path: PathBuf,
    is_fetched: bool,
}

impl Found {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// It was installed: a copy that was fetched for that may go.
    pub(super) fn is_done(&self) {
        if self.is_fetched
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "the fetched bundle cannot be removed");
        }
    }
}

/// Finds the bundle, and fetches it where it is elsewhere.
///
/// # Errors
/// In words for an administrator.
pub(super) async fn find(
    config: &Config,
    upgrades: &Upgrades,
    source: &UpgradeSource,
) -> Result<Found, String> {
    let found = match source {
        UpgradeSource::Upload { name } => {
            let path =
                files::named(config, FileArea::Upload, name).map_err(|refusal| refusal.what)?;
            Found { path, is_fetched: false }
        }
        UpgradeSource::Disk => {
            upgrades.progress("", 0, "copying from the disk");
            let config = config.clone();
            let copied = tokio::task::spawn_blocking(move || {
                let disk = Attached::mount(&config.run_dir.join("upgrade"))?;
                fetch::copy(&config, &only_bundle(disk.directory())?)
            });
            let path = copied.await.map_err(|error| error.to_string())??;
            Found { path, is_fetched: true }
        }
        UpgradeSource::Url { url, password } => {
            let remote = Remote::parse(url, password.clone())?;
            let path = fetch::fetch(config, upgrades, &remote, &remote::believed(config, &remote)?)
                .await?;
            Found { path, is_fetched: true }
        }
    };
    let size = std::fs::metadata(&found.path).map_or(0, |facts| facts.len());
    if size == 0 || size > MAX_BUNDLE_BYTES {
        let name = found.name();
        return Err(format!("{name} is not installed: it has {size} bytes, which no bundle has"));
    }
    Ok(found)
}

fn only_bundle(directory: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(directory).map_err(|error| error.to_string())?;
    let mut bundles = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    match (bundles.next(), bundles.next()) {
        (Some(bundle), None) => Ok(bundle),
        (None, _) => Err("the disk LAMPLIGHT has no bundle (*.raucb)".to_owned()),
        (Some(_), Some(_)) => Err("the disk LAMPLIGHT has more than one bundle".to_owned()),
    }
}
