//! Settings read again while the node serves: SIGHUP, which is what the service manager's reload
//! sends. What can change live does; what cannot is named; a bad file changes nothing.

use std::net::IpAddr;
use std::path::PathBuf;

use sd_notify::NotifyState;
use tokio::signal::unix::Signal;

use crate::alarm::AlarmKind;
use crate::certificate::Tls;
use crate::node::Node;
use crate::settings::Settings;

/// Everything that a changed file can reach.
#[derive(Debug)]
pub(crate) struct Reload {
    /// The settings file.
    pub(crate) file: PathBuf,
    /// The node.
    pub(crate) node: Node,
    /// The TLS set-ups that connections use.
    pub(crate) tls: Tls,
    /// Our addresses, should a certificate have to be made.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Reload {
    /// Reads the file again at every signal, for ever.
    pub(crate) async fn run(self, mut signals: Signal) {
        while signals.recv().await.is_some() {
            // The time tells this reload from the one before.
            match NotifyState::monotonic_usec_now() {
                Ok(now) => tell(&[NotifyState::Reloading, now]),
                Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
            }
            match self.apply().await {
                Ok(()) => self.node.alarms.clear(AlarmKind::SettingsRefused),
                Err(error) => {
                    tracing::error!("the settings stay as they were: {error:#}");
                    self.node.alarms.raise(AlarmKind::SettingsRefused, format!("{error:#}"));
                }
            }
            tell(&[NotifyState::Ready]);
        }
    }

    async fn apply(&self) -> anyhow::Result<()> {
        let before = self.node.settings();
        let (settings, waiting) = before.followed_by(Settings::read(&self.file)?);
        // The files may have changed where their names have not.
        let tls = Tls::load(&settings.tls, &settings.data_dir, &settings.domain, &self.addresses)?;
        let sip = &settings.sip;
        self.node.set_access(sip.trusted.clone(), sip.digest.clone()).await?;
        self.tls.replace(&tls);
        self.node.admission.change(
            sip.max_connections,
            sip.max_connections_per_peer,
            sip.trusted.clone(),
        );
        if settings.log.level != before.log.level {
            self.node.log.set_built_in(settings.log.level);
        }
        self.node.set_settings(settings);
        if waiting.is_empty() {
            tracing::info!("the settings were read again");
        } else {
            let keys = waiting.join(", ");
            tracing::warn!(keys, "the settings were read again; these hold after a restart only");
        }
        Ok(())
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
