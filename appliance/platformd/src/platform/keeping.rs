//! What is kept elsewhere and comes from there: backups, and whom to believe on the way.

use std::sync::Arc;

use admin_api::platform::answer::Answer;
use admin_api::platform::request::Request;
use admin_api::refusal::{Refusal, RefusalCode};

use super::{Platform, not_set_up};
use crate::backup::{self, Backups};
use crate::settings::Settings;
use crate::units;

impl Platform {
    pub(super) async fn answer_about_backups(
        self: &Arc<Self>,
        request: Request,
    ) -> Result<Answer, Refusal> {
        let settings = self.settings().await.ok_or_else(not_set_up)?;
        let zone = settings.time_zone.clone();
        match request {
            Request::SetBackupPassphrase { passphrase } => {
                Backups::set_passphrase(&self.config, passphrase)?;
            }
            Request::SetBackupSchedule { schedule } => {
                Backups::set_schedule(&self.config, schedule)?;
            }
            Request::CreateBackup(place) => {
                self.backups.create(self, settings, place, backup::USUALLY_KEPT)?;
            }
            Request::ListBackups(place) => {
                return Backups::list(&self.config, &place).await.map(Answer::BackupFiles);
            }
            Request::RestoreBackup { source, passphrase, with_network } => {
                self.backups.restore(self, source, passphrase, with_network)?;
            }
            _ => {}
        }
        let shown = self.backups.show(&self.config, &zone)?;
        Ok(Answer::Backups(Box::new(shown)))
    }

    /// The settings, once there are any.
    pub(crate) async fn settings(&self) -> Option<Settings> {
        self.state.lock().await.settings.clone()
    }

    /// Backups.
    pub(crate) fn backups(&self) -> Backups {
        self.backups.clone()
    }

    /// Puts other settings in force, all but the presence server, which is the caller's to restart.
    ///
    /// # Errors
    /// In words for an administrator.
    pub(crate) async fn adopt(&self, settings: Settings, with_network: bool) -> Result<(), String> {
        let syslog = settings.syslog.clone();
        self.change(|current| *current = settings).await.map_err(|refusal| refusal.what)?;
        self.syslog.send_replace(syslog);
        let network = if with_network { self.bus.reload_network().await } else { Ok(()) };
        let time = self.bus.restart(units::TIME).await;
        network.and(time).map_err(|error| error.to_string())
    }

    /// Stops the presence server.
    ///
    /// # Errors
    /// In words for an administrator.
    pub(crate) async fn stop_presence(&self) -> Result<(), String> {
        self.bus.stop_and_wait(units::PRESENCE).await.map_err(|error| error.to_string())
    }

    /// Starts the presence server.
    ///
    /// # Errors
    /// In words for an administrator.
    pub(crate) async fn start_presence(&self) -> Result<(), String> {
        self.bus.start(units::PRESENCE).await.map_err(|error| error.to_string())
    }

    pub(super) async fn show_trust(&self) -> Result<Answer, Refusal> {
        let state = self.state.lock().await;
        let settings = state.settings.as_ref().ok_or_else(not_set_up)?;
        Ok(Answer::Trust { certificates: trust::named(&settings.trust_pem) })
    }

    pub(super) async fn set_trust(&self, pem: Option<String>) -> Result<Answer, Refusal> {
        if pem.as_ref().is_some_and(|pem| {
            trust::certificates(pem).and_then(|given| trust::client(given, Vec::new())).is_none()
        }) {
            return Err(Refusal::new(
                RefusalCode::InvalidValue,
                "there is no PEM certificate in what was given",
                "trust",
                "give the certificate of the server, or of the authority that issued it",
            ));
        }
        self.change(|settings| settings.trust_pem = pem.unwrap_or_default()).await?;
        self.show_trust().await
    }
}
