//! Changing over to the other slot, and what became of it.

use admin_api::refusal::{Refusal, RefusalCode};

use super::data::{self, Fate};
use super::record::{Failure, Record, Switch, now_unix_ms};
use super::{Upgrades, refuse};
use crate::config::Config;
use crate::slot::{self, Slot};
use crate::units::{self, Bus};
use crate::{journal, machine, twins};

/// Lines of a failed slot's journal that are kept.
const MOST_LINES: usize = 12;

impl Upgrades {
    /// Has the other slot started from now on, with a copy of the data where its version can read
    /// them. The presence server is stopped when this succeeds, and runs when it does not.
    ///
    /// # Errors
    /// There is nothing whole in the other slot, its version can use no data, a copy does not fit,
    /// or something cannot be written.
    pub(crate) async fn switch(
        &self,
        config: &Config,
        bus: &Bus,
        running: Slot,
    ) -> Result<(), Refusal> {
        self.check_idle()?;
        twins::check()?;
        let other = running.other();
        let shown = self.show(config, running)?;
        let target = shown.slots.into_iter().find(|slot| slot.name == other.name());
        let Some(target) = target.filter(|target| target.is_installed) else {
            return Err(refuse(
                RefusalCode::NotFound,
                format!("there is nothing to start in slot {other}"),
                "install an upgrade first: \"utils system upgrade install\"",
            ));
        };
        let version = target.version.unwrap_or_else(|| config.version.clone());
        let record = Record::read(config);
        let own = record.installed(other).and_then(|installed| installed.data_version.as_deref());
        let Some(fate) = data::fate(&config.version, &version, own) else {
            return Err(refuse(
                RefusalCode::InvalidValue,
                format!("version {version} cannot read what version {} keeps", config.version),
                "install a version that is not older, or restore a backup on a new machine",
            ));
        };
        let (from, to) = (config.data_dir_of(running), config.data_dir_of(other));
        if fate == Fate::Carried {
            data::check_room(&from).map_err(|what| {
                refuse(RefusalCode::TooLarge, what, "make room: \"file delete\" removes files")
            })?;
        }
        bus.stop_and_wait(units::PRESENCE)
            .await
            .map_err(|error| crate::platform::failed(&error, "presence"))?;
        let switched = async {
            let switch = Switch {
                from: running.name().to_owned(),
                to: other.name().to_owned(),
                at_unix_ms: now_unix_ms(),
                had_address: !machine::addresses().is_empty(),
                is_data_carried: fate == Fate::Carried,
                without_service_ms: None,
                has_failed: false,
            };
            if fate == Fate::Carried {
                tokio::task::spawn_blocking(move || data::carry(&from, &to))
                    .await
                    .map_err(|error| error.to_string())??;
            }
            Record::change(config, |record| record.switch = Some(switch))?;
            slot::change_counters(&config.efi_device, &config.efi_dir, |counters| {
                counters.set_primary(other);
            })
            .map_err(|error| crate::platform::in_words(&error))
        };
        let switched: Result<(), String> = switched.await;
        if let Err(what) = switched {
            if let Err(error) = bus.start(units::PRESENCE).await {
                tracing::error!(%error, "the presence server cannot be started again");
            }
            return Err(refuse(
                RefusalCode::PlatformFailed,
                what,
                "nothing was changed; \"file view log platform\" says more",
            ));
        }
        tracing::info!(slot = %other, version, ?fate, "switching over");
        Ok(())
    }
}

/// What a switch to this slot demands of it and is missing.
pub(crate) fn missing(config: &Config, slot: Slot) -> Option<String> {
    let switch = Record::read(config).switch?;
    let is_here = switch.to == slot.name() && switch.is_open();
    (is_here && switch.had_address && machine::addresses().is_empty())
        .then(|| "the network has no address, and had one before the switch".to_owned())
}

/// Notes that the slot which runs has proved healthy, and what that says of a switch.
pub(crate) async fn conclude(config: &Config, slot: Slot) {
    let record = Record::read(config);
    let switch = record.switch.clone().filter(Switch::is_open);
    let other = slot.other();
    let mut failure = None;
    let mut concluded = switch.clone();
    if let Some(concluded) = &mut concluded {
        if concluded.to == slot.name() {
            let took = now_unix_ms().saturating_sub(concluded.at_unix_ms);
            concluded.without_service_ms = Some(took);
            tracing::info!(%slot, ms = took, "switched over: SIP was not answered meanwhile");
        } else {
            concluded.has_failed = true;
        }
    }
    let has_failed = concluded.as_ref().is_some_and(|switch| switch.has_failed);
    let counters = slot::counters(&config.efi_device, &config.efi_dir);
    let starts = counters.as_ref().map_or(0, |counters| counters.tries(other));
    let is_passed_over =
        counters.is_ok_and(|counters| counters.is_good(other) && !counters.is_startable(other));
    if has_failed || (is_passed_over && record.failure(other).is_none()) {
        let since = switch.as_ref().map(|switch| switch.at_unix_ms);
        let lines = journal::errors_of_former_starts(since, MOST_LINES).await;
        tracing::error!(slot = %other, starts, "the slot was left: it did not become healthy");
        failure = Some(Failure {
            version: record.installed(other).map(|installed| installed.version.clone()),
            at_unix_ms: now_unix_ms(),
            starts,
            lines,
        });
    }
    let noted = Record::change(config, |record| {
        if concluded.is_some() {
            record.switch = concluded;
        }
        if failure.is_some() {
            record.set_failure(other, failure);
        }
        record.set_failure(slot, None);
        let mut installed = record.installed(slot).cloned().unwrap_or_default();
        installed.version.clone_from(&config.version);
        installed.data_version = Some(config.version.clone());
        installed.is_complete = true;
        record.set_installed(slot, installed);
    });
    if let Err(error) = noted {
        tracing::warn!(error, "what is in the slot cannot be noted");
    }
}
