//! Backups: everything an administrator and the users have made, in one encrypted file, made by
//! hand or every day, and put back on this machine or another.

mod archive;
mod place;
mod restore;
mod schedule;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use admin_api::client::Client;
use admin_api::platform::backup::{
    BackupFile, BackupPlace, BackupSchedule, BackupWork, Backups as Shown, LatestBackup,
};
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::request::Request;
use admin_api::secret::Secret;
use serde::{Deserialize, Serialize};

use self::archive::Manifest;
use crate::config::Config;
use crate::file;
use crate::platform::Platform;
use crate::settings::Settings;

pub(crate) use self::schedule::follow;

/// The shortest passphrase.
const LEAST_CHARACTERS: usize = 12;
/// How many are kept in a place by itself, unless something else is said.
pub(crate) const USUALLY_KEPT: u32 = 14;
/// Space that must remain beside a backup.
const LEAST_FREE_BYTES: u64 = 256 << 20;

/// Backups, and what is being done with them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Backups(Arc<Mutex<BackupWorkState>>);

#[derive(Debug, Default)]
struct BackupWorkState {
    work: Option<BackupWork>,
}

/// What is set, in a file of its own since it holds secrets.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Plan {
    #[serde(default)]
    passphrase: Option<Secret>,
    #[serde(default)]
    schedule: Option<BackupSchedule>,
}

impl Plan {
    fn path(config: &Config) -> PathBuf {
        config.config_dir.join("backup.toml")
    }

    fn read(config: &Config) -> Result<Self, String> {
        let path = Self::path(config);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn write(&self, config: &Config) -> Result<(), String> {
        let text = zeroize::Zeroizing::new(toml::to_string(self).map_err(|e| e.to_string())?);
        file::replace(&Self::path(config), text.as_bytes(), 0o600)
            .map_err(|error| crate::platform::in_words(&error))
    }
}

fn latest_path(config: &Config) -> PathBuf {
    config.state_dir.join("latest-backup.toml")
}

fn latest(config: &Config) -> Option<LatestBackup> {
    toml::from_str(&std::fs::read_to_string(latest_path(config)).ok()?).ok()
}

fn note_latest(config: &Config, latest: &LatestBackup) {
    let noted = toml::to_string(latest).map_err(|error| error.to_string()).and_then(|text| {
        file::replace(&latest_path(config), text.as_bytes(), 0o600)
            .map_err(|error| crate::platform::in_words(&error))
    });
    if let Err(error) = noted {
        tracing::warn!(error, "the latest backup cannot be noted");
    }
}

fn refuse(code: RefusalCode, what: impl Into<String>, next: &str) -> Refusal {
    Refusal::new(code, what, "utils backup", next)
}

fn failed(what: String) -> Refusal {
    refuse(RefusalCode::PlatformFailed, what, "mend that, and try again")
}

impl Backups {
    fn work(&self) -> BackupWork {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.work.clone().unwrap_or(BackupWork::Idle)
    }

    fn set(&self, work: BackupWork) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).work = Some(work);
    }

    fn step(&self, step: &str) {
        self.set(BackupWork::Running { step: step.to_owned() });
    }

    /// Begins something, where nothing is under way.
    fn begin(&self, step: &str) -> Result<(), Refusal> {
        if matches!(self.work(), BackupWork::Running { .. }) {
            return Err(refuse(
                RefusalCode::Busy,
                "a backup is being made or restored",
                "wait for its end: \"show backup\"",
            ));
        }
        self.step(step);
        Ok(())
    }

    fn end(&self, outcome: Result<String, String>) {
        match outcome {
            Ok(what) => {
                tracing::info!(what, "done");
                self.set(BackupWork::Done { what });
            }
            Err(why) => {
                tracing::error!(why, "a backup was not made, or not restored");
                self.set(BackupWork::Failed { why });
            }
        }
    }

    /// What is to be known, without secrets.
    pub(crate) fn show(&self, config: &Config, zone: &str) -> Result<Shown, Refusal> {
        let plan = Plan::read(config).map_err(failed)?;
        let next_unix_ms = plan
            .schedule
            .as_ref()
            .and_then(|schedule| schedule::next(config, zone, schedule.minute_of_day));
        let schedule = plan.schedule.map(|mut schedule| {
            if let BackupPlace::Url { password, .. } = &mut schedule.place {
                *password = None;
            }
            schedule
        });
        Ok(Shown {
            has_passphrase: plan.passphrase.is_some(),
            schedule,
            next_unix_ms,
            latest: latest(config),
            work: self.work(),
        })
    }

    /// Why an administrator should look at backups.
    pub(crate) fn warning(config: &Config) -> Option<String> {
        let latest = latest(config)?;
        let fault = latest.fault?;
        Some(format!("the latest backup, to {}, failed: {fault}", latest.place))
    }

    /// Sets the passphrase, or takes it away.
    pub(crate) fn set_passphrase(
        config: &Config,
        passphrase: Option<Secret>,
    ) -> Result<(), Refusal> {
        let is_short = |text: &Secret| text.expose().chars().count() < LEAST_CHARACTERS;
        if passphrase.as_ref().is_some_and(is_short) {
            return Err(refuse(
                RefusalCode::InvalidValue,
                format!("the passphrase has fewer than {LEAST_CHARACTERS} characters"),
                "take a longer one, for example five words",
            ));
        }
        let plan = Plan::read(config).map_err(failed)?;
        if passphrase.is_none() && plan.schedule.is_some() {
            return Err(refuse(
                RefusalCode::NotNow,
                "backups are made by schedule, and need it",
                "\"unset backup schedule\" first",
            ));
        }
        Plan { passphrase, ..plan }.write(config).map_err(failed)
    }

    /// Sets when backups are made.
    pub(crate) fn set_schedule(
        config: &Config,
        schedule: Option<BackupSchedule>,
    ) -> Result<(), Refusal> {
        let plan = Plan::read(config).map_err(failed)?;
        if let Some(schedule) = &schedule {
            if plan.passphrase.is_none() {
                return Err(no_passphrase());
            }
            if let BackupPlace::Url { url, password } = &schedule.place {
                crate::remote::Remote::parse(url, password.clone()).map_err(|what| {
                    refuse(RefusalCode::InvalidValue, what, "give another place")
                })?;
            }
        }
        Plan { schedule, ..plan }.write(config).map_err(failed)
    }

    /// Begins to make a backup.
    pub(crate) fn create(
        &self,
        platform: &Arc<Platform>,
        settings: Settings,
        place: BackupPlace,
        keep: u32,
    ) -> Result<(), Refusal> {
        let plan = Plan::read(platform.config()).map_err(failed)?;
        let passphrase = plan.passphrase.ok_or_else(no_passphrase)?;
        self.begin("taking a snapshot")?;
        let (backups, platform) = (self.clone(), Arc::clone(platform));
        tokio::spawn(async move {
            let config = platform.config();
            let at_unix_ms = now_unix_ms();
            let name = name_of(&settings.host_name, at_unix_ms);
            let made =
                backups.make(config, &settings, &name, at_unix_ms, &passphrase, &place, keep).await;
            let place = place::in_words(&place);
            let fault = made.as_ref().err().cloned();
            note_latest(
                config,
                &LatestBackup { at_unix_ms, name: name.clone(), place: place.clone(), fault },
            );
            backups.end(made.map(|()| format!("{name} was made, read again, and left on {place}")));
        });
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is one of the things that make a backup")]
    async fn make(
        &self,
        config: &Config,
        settings: &Settings,
        name: &str,
        created_unix_ms: u64,
        passphrase: &Secret,
        place: &BackupPlace,
        keep: u32,
    ) -> Result<(), String> {
        let socket = config.presence_socket.clone();
        tokio::task::spawn_blocking(move || {
            Client::connect(&socket).and_then(|mut client| client.ask(&Request::TakeSnapshot))
        })
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| crate::platform::in_words(&error))?;
        self.step("encrypting");
        let path = place::here(config).join(name);
        let data_dir = config.running_data_dir();
        let manifest = Manifest::new(
            config.version.clone(),
            created_unix_ms,
            settings.host_name.clone(),
            settings.domain.clone(),
        );
        let text = toml::to_string(settings).map_err(|error| error.to_string())?;
        let (file, secret) = (path.clone(), passphrase.clone());
        tokio::task::spawn_blocking(move || {
            let directory = file.parent().unwrap_or_else(|| Path::new("/"));
            std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
            check_room(directory, &data_dir)?;
            archive::write(&file, &manifest, &text, &data_dir, &secret)?;
            archive::verify(&file, &secret).map(drop)
        })
        .await
        .map_err(|error| error.to_string())??;
        self.step(&format!("leaving it on {}", place::in_words(place)));
        let prefix = format!("lamplight-{}-", settings.host_name);
        let left = place::leave(config, place, &path, &prefix, keep).await;
        place::tidy_here(config);
        left
    }

    /// The backups in a place.
    pub(crate) async fn list(
        config: &Config,
        place: &BackupPlace,
    ) -> Result<Vec<BackupFile>, Refusal> {
        place::list(config, place)
            .await
            .map_err(|what| refuse(RefusalCode::NotFound, what, "give another place"))
    }
}

fn no_passphrase() -> Refusal {
    refuse(
        RefusalCode::NotNow,
        "there is no passphrase to encrypt backups with",
        "\"set backup passphrase\", and keep it where a fire does not reach it",
    )
}

fn check_room(directory: &Path, data_dir: &Path) -> Result<(), String> {
    let held = nix::sys::statvfs::statvfs(directory).map_err(|error| error.to_string())?;
    let free = held.blocks_available().saturating_mul(held.fragment_size());
    let size = std::fs::read_dir(data_dir.join("store"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|facts| facts.len())
        .max()
        .unwrap_or_default();
    let wanted = size.saturating_add(LEAST_FREE_BYTES);
    if free >= wanted {
        return Ok(());
    }
    Err(format!(
        "there is too little space on the data partition: {} MiB are free, and {} MiB are needed",
        free >> 20,
        wanted >> 20
    ))
}

fn name_of(host_name: &str, at_unix_ms: u64) -> String {
    let at = i64::try_from(at_unix_ms).unwrap_or_default();
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    format!("lamplight-{host_name}-{}{}", at.strftime("%Y%m%dT%H%M%SZ"), place::EXTENSION)
}

fn now_unix_ms() -> u64 {
    let now = jiff::Timestamp::now().as_millisecond();
    u64::try_from(now).unwrap_or_default()
}
