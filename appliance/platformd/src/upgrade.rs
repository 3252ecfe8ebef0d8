//! Upgrades: a bundle is fetched and checked, RAUC writes it into the slot that does not run, and
//! a switch starts it.

mod data;
mod fetch;
mod record;
mod source;
mod switch;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use admin_api::platform::upgrade::{
    SlotFacts, SlotFailure, SwitchFacts, Upgrade, UpgradeSource, UpgradeState,
};
use admin_api::refusal::{Refusal, RefusalCode};
use tokio::task::AbortHandle;

use crate::config::Config;
use crate::rauc::{Bundle, COMPATIBLE};
use crate::slot::{self, Slot};
use crate::units::Bus;
use crate::{machine, twins};

use self::record::{Installed, Record, now_unix_ms};
pub(crate) use self::switch::{conclude, missing};

/// How often an installation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The installation under way, or the latest.
#[derive(Debug, Default, Clone)]
pub(crate) struct Upgrades(Arc<Mutex<Installation>>);

#[derive(Debug, Default)]
struct Installation {
    state: Option<UpgradeState>,
    task: Option<AbortHandle>,
}

fn refuse(code: RefusalCode, what: impl Into<String>, next: &str) -> Refusal {
    Refusal::new(code, what, "utils system upgrade", next)
}

impl Upgrades {
    fn set(&self, state: UpgradeState) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).state = Some(state);
    }

    fn state(&self) -> UpgradeState {
        let installation = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        installation.state.clone().unwrap_or(UpgradeState::Idle)
    }

    fn progress(&self, version: &str, percent: u8, step: impl Into<String>) {
        let version = version.to_owned();
        self.set(UpgradeState::Running { version, percent, step: step.into() });
    }

    fn check_idle(&self) -> Result<(), Refusal> {
        if !matches!(self.state(), UpgradeState::Running { .. }) {
            return Ok(());
        }
        Err(refuse(
            RefusalCode::Busy,
            "an upgrade is being installed",
            "wait for its end, or end it with \"utils system upgrade cancel\"",
        ))
    }

    /// The slots, and how far an installation is.
    ///
    /// # Errors
    /// The boot loader's counters cannot be read.
    pub(crate) fn show(&self, config: &Config, running: Slot) -> Result<Upgrade, Refusal> {
        let counters = slot::counters(&config.efi_device, &config.efi_dir)
            .map_err(|error| crate::platform::failed(&error, "slots"))?;
        let record = Record::read(config);
        let facts = |slot: Slot| {
            let installed = record.installed(slot);
            let is_running = slot == running;
            SlotFacts {
                name: slot.name().to_owned(),
                is_running,
                is_next: counters.primary() == slot,
                is_good: counters.is_good(slot),
                is_installed: is_running
                    || counters.is_good(slot)
                    || installed.is_some_and(|installed| installed.is_complete),
                failed_starts: if is_running { 0 } else { counters.tries(slot) },
                version: if is_running {
                    Some(config.version.clone())
                } else {
                    installed.filter(|i| i.is_complete).map(|installed| installed.version.clone())
                },
                installed_unix_ms: installed
                    .filter(|installed| installed.is_complete && installed.installed_unix_ms > 0)
                    .map(|installed| installed.installed_unix_ms),
                failure: record.failure(slot).map(|failure| SlotFailure {
                    version: failure.version.clone(),
                    at_unix_ms: failure.at_unix_ms,
                    starts: failure.starts,
                    lines: failure.lines.clone(),
                }),
            }
        };
        Ok(Upgrade {
            slots: [Slot::A, Slot::B].map(facts).to_vec(),
            state: self.state(),
            latest_switch: record.switch.as_ref().map(|switch| SwitchFacts {
                from: switch.from.clone(),
                to: switch.to.clone(),
                at_unix_ms: switch.at_unix_ms,
                is_data_carried: switch.is_data_carried,
                without_service_ms: switch.without_service_ms,
                has_failed: switch.has_failed,
            }),
        })
    }

    /// Begins to fetch, check and install a bundle.
    ///
    /// # Errors
    /// One is installed already, or it is not to be told which disk is meant.
    pub(crate) fn install(
        &self,
        config: &Config,
        bus: &Bus,
        running: Slot,
        source: UpgradeSource,
    ) -> Result<(), Refusal> {
        self.check_idle()?;
        twins::check()?;
        self.progress("", 0, "looking for the bundle");
        let (upgrades, bus, config) = (self.clone(), bus.clone(), config.clone());
        let task = tokio::spawn(async move {
            let state = match upgrades.run(&config, &bus, running, &source).await {
                Ok(version) => {
                    tracing::info!(version, "installed");
                    UpgradeState::Installed { version }
                }
                Err(why) => {
                    tracing::warn!(why, "the upgrade was not installed");
                    UpgradeState::Failed { why }
                }
            };
            upgrades.set(state);
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).task = Some(task.abort_handle());
        Ok(())
    }

    async fn run(
        &self,
        config: &Config,
        bus: &Bus,
        running: Slot,
        source: &UpgradeSource,
    ) -> Result<String, String> {
        let found = source::find(config, self, source).await?;
        let name = found.name();
        self.progress("", 0, "checking the signature");
        let failed = |error: zbus::Error| format!("{name} is not installed: {}", in_words(&error));
        bus.start_upgrades().await.map_err(failed)?;
        let bundle = bus.inspect_bundle(found.path()).await.map_err(|error| {
            // What OpenSSL says of a certificate whose time is over is not fit to be understood.
            let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
            format!(
                "{} (it must be whole, and its key known here and valid now: it is {now} by this \
                 machine's clock)",
                failed(error)
            )
        })?;
        let record = Record::read(config);
        let target = running.other();
        let before = record.installed(target).cloned();
        check(config, &bundle, before.as_ref())
            .map_err(|why| format!("{name} is not installed: {why}"))?;
        let installed = Installed {
            version: bundle.version.clone(),
            installed_unix_ms: now_unix_ms(),
            is_complete: false,
            data_version: before.as_ref().and_then(|before| before.data_version.clone()),
        };
        Record::change(config, |record| record.set_installed(target, installed.clone()))?;
        tracing::info!(version = bundle.version, slot = %target, "installing");
        let written = self.write(bus, found.path(), &bundle.version).await;
        let noted = match (&written, before) {
            (Ok(()), _) => Some(Installed { is_complete: true, ..installed }),
            // RAUC marks the slot bad before it writes to it: one that is good is as it was.
            (Err(_), Some(before)) => slot::counters(&config.efi_device, &config.efi_dir)
                .is_ok_and(|counters| counters.is_good(target))
                .then_some(before),
            (Err(_), None) => None,
        };
        if let Some(noted) = noted {
            Record::change(config, |record| {
                record.set_installed(target, noted);
                record.set_failure(target, None);
            })?;
        }
        written.map_err(|why| format!("{name} is not installed: {why}"))?;
        found.is_done();
        Ok(bundle.version)
    }

    /// Has RAUC write, until it has ended.
    async fn write(&self, bus: &Bus, bundle: &Path, version: &str) -> Result<(), String> {
        let words = |error: zbus::Error| in_words(&error);
        bus.install_bundle(bundle).await.map_err(words)?;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match bus.installation().await.map_err(words)? {
                Some((percent, step)) => self.progress(version, percent, step),
                None => break,
            }
        }
        let why = bus.last_upgrade_error().await.map_err(words)?;
        if why.is_empty() { Ok(()) } else { Err(why) }
    }

    /// Ends the installation.
    ///
    /// # Errors
    /// None is under way, or it cannot be ended.
    pub(crate) async fn cancel(&self, bus: &Bus) -> Result<(), Refusal> {
        if self.check_idle().is_ok() {
            return Err(refuse(RefusalCode::NotFound, "nothing is installed now", "nothing to do"));
        }
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).task.take();
        if let Some(task) = task {
            task.abort();
        }
        self.set(UpgradeState::Failed { why: "it was ended by an administrator".to_owned() });
        bus.stop_upgrades().await.map_err(|error| crate::platform::failed(&error, "upgrade"))
    }
}

/// Whether a bundle that RAUC trusts is for this machine.
fn check(config: &Config, bundle: &Bundle, target: Option<&Installed>) -> Result<(), String> {
    if bundle.compatible != COMPATIBLE {
        return Err(format!(
            "it is for another product: {:?}, and this is {COMPATIBLE:?}",
            bundle.compatible
        ));
    }
    let own = target.and_then(|target| target.data_version.as_deref());
    if data::fate(&config.version, &bundle.version, own).is_none() {
        return Err(format!(
            "version {} is older than what runs ({}) and cannot read its data",
            bundle.version, config.version
        ));
    }
    let hardware =
        machine::hardware(&config.data_dir).map_err(|error| crate::platform::in_words(&error))?;
    let has_mib = hardware.memory_bytes >> 20;
    match bundle.memory_mib {
        Some(needed) if has_mib < needed => Err(format!(
            "version {} needs {needed} MiB of memory; this machine has {has_mib}",
            bundle.version
        )),
        _ => Ok(()),
    }
}

/// What RAUC says, without the name that D-Bus gives it.
fn in_words(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(_, Some(what), _) => what.clone(),
        other => other.to_string(),
    }
}
