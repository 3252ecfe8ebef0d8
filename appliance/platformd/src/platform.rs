//! The machine as one object: every request, one at a time where it changes something.

mod keeping;
mod passwords;

use std::sync::Arc;
use std::time::Duration;

use admin_api::answer::system::Hardware;
use admin_api::platform::answer::{Answer, NetworkChanged, Platform as Facts};
use admin_api::platform::request::Request;
use admin_api::platform::settings::{SetUp, SipSettings, SyslogSettings};
use admin_api::refusal::{Refusal, RefusalCode};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use self::passwords::hashed;
use crate::backup::Backups;
use crate::config::Config;
use crate::journal::{self, Journal};
use crate::network::{self, CONFIRM_WITHIN, Pending};
use crate::password::{self, Throttle};
use crate::recovery::Recovery;
use crate::remote::sftp;
use crate::settings::Settings;
use crate::slot::Slot;
use crate::syslog::Forwarding;
use crate::tools::Tools;
use crate::units::{self, Bus};
use crate::upgrade::Upgrades;
use crate::{clock, files, machine, mounts, reset, ssh_keys, twins, written};

/// Pause between the answer to a restart and the restart, so that the answer gets out.
const BEFORE_POWER: Duration = Duration::from_millis(500);

/// A presence server that ended so often since the machine's start will not come up.
const HOPELESS_RESTARTS: u32 = 5;

/// Why the appliance does not do what it is for.
#[derive(Debug)]
pub(crate) struct Ailment {
    /// In words.
    pub(crate) what: String,
    /// Whether waiting is in vain.
    pub(crate) is_hopeless: bool,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Platform {
    config: Config,
    bus: Bus,
    state: Mutex<State>,
    tools: Mutex<Tools>,
    journal: Mutex<Journal>,
    syslog: watch::Sender<Option<SyslogSettings>>,
    forwarding: Forwarding,
    upgrades: Upgrades,
    backups: Backups,
}

/// What requests change.
#[derive(Debug, Default)]
struct State {
    settings: Option<Settings>,
    pending: Option<Pending>,
    throttle: Throttle,
    recovery: Option<Recovery>,
    answer_file_fault: Option<String>,
}

/// An error with its causes.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let mut what = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        what = format!("{what}: {cause}");
        source = cause.source();
    }
    what
}

/// A failure of the machine, for the administrator.
pub(crate) fn failed(error: &dyn std::error::Error, place: impl Into<String>) -> Refusal {
    Refusal::new(
        RefusalCode::PlatformFailed,
        in_words(error),
        place,
        "try again; \"file view log platform\" says more",
    )
}

fn not_set_up() -> Refusal {
    Refusal::new(
        RefusalCode::NotSetUp,
        "the appliance is not set up yet",
        "first start",
        "answer the questions on the console, or attach a disk with answers and restart",
    )
}

fn bus_failed(error: &zbus::Error) -> Refusal {
    failed(error, "system services")
}

impl Platform {
    /// The machine with these settings, or before it has any.
    pub(crate) fn new(
        config: Config,
        settings: Option<Settings>,
    ) -> (Arc<Self>, watch::Receiver<Option<SyslogSettings>>) {
        let (syslog, follows) =
            watch::channel(settings.as_ref().and_then(|settings| settings.syslog.clone()));
        let platform = Arc::new(Self {
            config,
            bus: Bus::default(),
            state: Mutex::new(State { settings, ..State::default() }),
            tools: Mutex::default(),
            journal: Mutex::default(),
            syslog,
            forwarding: Forwarding::default(),
            upgrades: Upgrades::default(),
            backups: Backups::default(),
        });
        (platform, follows)
    }

    /// What can be said of the forwarding of logs.
    pub(crate) fn forwarding(&self) -> Forwarding {
        self.forwarding.clone()
    }

    /// Why the appliance does not do what it is for: it is healthy when it serves, or waits for the
    /// first start's questions.
    pub(crate) async fn ailment(&self) -> Option<Ailment> {
        self.state.lock().await.settings.as_ref()?;
        match self.bus.state(units::PRESENCE).await {
            Ok(unit) if unit.active == "active" => None,
            Ok(unit) => Some(Ailment {
                what: format!(
                    "the presence server is {}: {}, {} starts again",
                    unit.active, unit.result, unit.restarts
                ),
                is_hopeless: unit.restarts >= HOPELESS_RESTARTS,
            }),
            Err(error) => Some(Ailment {
                what: format!("the system services do not answer: {error}"),
                is_hopeless: false,
            }),
        }
    }

    /// Whether SIP is to be answered: not before the first start's questions are, and not on a
    /// machine that is too small.
    pub(crate) async fn serves_sip(&self) -> bool {
        let is_set_up = self.state.lock().await.settings.is_some();
        is_set_up && self.hardware().is_ok_and(|hardware| hardware.class.is_some())
    }

    /// Restarts the machine.
    pub(crate) async fn restart_now(&self) {
        if let Err(error) = self.bus.reboot().await {
            tracing::error!(%error, "the machine cannot be restarted");
        }
    }

    /// Where everything lies.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Keeps name servers as they are learned.
    pub(crate) async fn follow_name_servers(&self) {
        let state = self.state.lock().await;
        let settings = state.pending.as_ref().map(|p| &p.settings).or(state.settings.as_ref());
        let set = settings.map(|settings| settings.name_servers.clone()).unwrap_or_default();
        if let Err(failure) = written::write_resolver(&self.config, &set) {
            tracing::warn!(%failure, "name servers could not be written");
        }
    }

    /// Remembers why an answer file was not followed.
    pub(crate) async fn note_answer_file(&self, fault: String) {
        tracing::error!(fault, "the answer file is not followed");
        self.state.lock().await.answer_file_fault = Some(fault);
    }

    /// Answers one request.
    ///
    /// # Errors
    /// A refusal that says what was wrong, where, and what to do.
    pub(crate) async fn answer(self: &Arc<Self>, request: Request) -> Result<Answer, Refusal> {
        match request {
            Request::ShowPlatform => self.facts().await,
            Request::SetUp(set_up) => self.set_up(&set_up, None).await,
            Request::CheckPassword { password } => self.check_password(password).await,
            Request::SetPassword { current, new } => self.set_password(current, new).await,
            Request::StartRecovery => self.start_recovery().await,
            Request::ShowRecovery => self.show_recovery().await,
            Request::FinishRecovery { new } => self.finish_recovery(new).await,
            Request::ListSshKeys => Ok(Answer::SshKeys(ssh_keys::list(&self.config))),
            Request::AddSshKey { key } => {
                let _one_at_a_time = self.state.lock().await;
                ssh_keys::add(&self.config, &key)?;
                Ok(Answer::SshKeys(ssh_keys::list(&self.config)))
            }
            Request::DeleteSshKey { fingerprint } => {
                let _one_at_a_time = self.state.lock().await;
                ssh_keys::delete(&self.config, &fingerprint)?;
                Ok(Answer::SshKeys(ssh_keys::list(&self.config)))
            }
            Request::ShowNetwork => self.show_network().await,
            Request::SetIpv4(ipv4) => self.change_network(|settings| settings.ipv4 = ipv4).await,
            Request::SetIpv6(ipv6) => self.change_network(|settings| settings.ipv6 = ipv6).await,
            Request::SetNameServers { servers } => {
                self.change_network(|settings| settings.name_servers = servers).await
            }
            Request::SetMtu { mtu_bytes } => {
                self.change_network(|settings| settings.mtu_bytes = mtu_bytes).await
            }
            Request::ConfirmNetwork => self.confirm_network().await,
            Request::RevertNetwork => self.revert_network().await,
            Request::SetHostName { host_name } => {
                self.change(|settings| settings.host_name = host_name).await?;
                Ok(Answer::Done)
            }
            Request::ShowTime => self.show_time().await,
            Request::ListTimeZones => Ok(Answer::TimeZones(clock::zones(&self.config))),
            Request::SetTimeZone { zone } => {
                self.check_zone(&zone)?;
                self.change(|settings| settings.time_zone = zone).await?;
                self.show_time().await
            }
            Request::SetTimeServers { servers } => {
                self.change(|settings| settings.time_servers = servers).await?;
                self.bus.restart(units::TIME).await.map_err(|error| bus_failed(&error))?;
                self.show_time().await
            }
            Request::SetClock { now_unix_ms } => self.set_clock(now_unix_ms).await,
            Request::SetDomain { domain } => {
                let domain = domain.to_ascii_lowercase();
                self.change(|settings| settings.domain = domain).await?;
                self.bus.restart(units::PRESENCE).await.map_err(|error| bus_failed(&error))?;
                Ok(Answer::Done)
            }
            Request::SetSip(sip) => self.set_sip(sip).await,
            Request::ShowSip => self.show_sip().await,
            Request::ShowSyslog => self.show_syslog().await,
            Request::SetSyslog { syslog } => self.set_syslog(syslog).await,
            Request::ListServices => {
                let services = self.bus.services().await.map_err(|error| bus_failed(&error))?;
                Ok(Answer::Services(services))
            }
            Request::RestartService { name } => self.restart_service(&name).await,
            Request::ListLogs => Ok(Answer::Logs(Journal::logs())),
            Request::ReadLog(query) => {
                journal::read(&self.journal, &query).await.map(Answer::LogLines)
            }
            Request::ListFiles { area } => Ok(Answer::Files(files::list(&self.config, area))),
            Request::ReadFile { area, name, offset, limit_bytes } => {
                files::read(&self.config, area, &name, offset, limit_bytes).map(Answer::FilePart)
            }
            Request::DeleteFile { area, name } => {
                files::delete(&self.config, area, &name).map(|()| Answer::Done)
            }
            Request::WriteUpload { name, offset, base64 } => {
                files::write_upload(&self.config, &name, offset, &base64).map(|()| Answer::Done)
            }
            Request::ShowUpgrade => self.show_upgrade(),
            Request::InstallUpgrade(source) => {
                let slot = self.running_slot()?;
                self.upgrades.install(&self.config, &self.bus, slot, source)?;
                self.show_upgrade()
            }
            Request::CancelUpgrade => {
                self.upgrades.cancel(&self.bus).await?;
                self.show_upgrade()
            }
            Request::SwitchVersion => {
                let slot = self.running_slot()?;
                self.upgrades.switch(&self.config, &self.bus, slot).await?;
                Ok(self.power(true))
            }
            Request::ShowBackups
            | Request::SetBackupPassphrase { .. }
            | Request::SetBackupSchedule { .. }
            | Request::CreateBackup(_)
            | Request::ListBackups(_)
            | Request::RestoreBackup { .. } => self.answer_about_backups(request).await,
            Request::FactoryReset => {
                reset::ask_for(&self.config).map_err(|f| failed(&f, "factory reset"))?;
                Ok(self.power(true))
            }
            Request::ShowTrust => self.show_trust().await,
            Request::SetTrust { pem } => self.set_trust(pem).await,
            Request::ShowClientKey => sftp::public_key(&self.config)
                .await
                .map(|key| Answer::ClientKey { key })
                .map_err(|what| key_failed(&what)),
            Request::ForgetHost { host } => match sftp::forget(&self.config, &host) {
                Ok(true) => Ok(Answer::Done),
                Ok(false) => Err(Refusal::new(
                    RefusalCode::NotFound,
                    format!("no key of a host {host:?} is known"),
                    "HOST",
                    "give its name or address as it was used",
                )),
                Err(what) => Err(key_failed(&what)),
            },
            Request::StartTool(tool) => {
                let captures =
                    files::directory(&self.config, admin_api::platform::request::FileArea::Capture);
                self.tools.lock().await.start(&tool, &captures).map(Answer::ToolOutput)
            }
            Request::ReadTool { tool, after_line, wait_ms } => {
                let reader = self.tools.lock().await.reader(tool)?;
                Ok(Answer::ToolOutput(reader.read(after_line, wait_ms).await))
            }
            Request::StopTool { tool } => {
                let reader = self.tools.lock().await.stop(tool)?;
                Ok(Answer::ToolOutput(reader.read(0, 0).await))
            }
            Request::Restart => Ok(self.power(true)),
            Request::Shutdown => Ok(self.power(false)),
        }
    }

    fn running_slot(&self) -> Result<Slot, Refusal> {
        self.config.slot.ok_or_else(|| {
            Refusal::new(
                RefusalCode::NotFound,
                "this machine was not started from a slot",
                "slots",
                "upgrades are for the appliance",
            )
        })
    }

    fn show_upgrade(&self) -> Result<Answer, Refusal> {
        self.upgrades.show(&self.config, self.running_slot()?).map(Answer::Upgrade)
    }

    fn hardware(&self) -> Result<Hardware, Refusal> {
        machine::hardware(&self.config.data_dir).map_err(|error| failed(&error, "hardware"))
    }

    async fn facts(&self) -> Result<Answer, Refusal> {
        let hardware = self.hardware()?;
        let presence = self.bus.state(units::PRESENCE).await;
        let mut warnings = hardware.warnings.clone();
        if self.config.slot.is_some() {
            warnings.extend(mounts::broken_promises());
            warnings.extend(twins::named());
        }
        warnings.extend(Backups::warning(&self.config));
        let kernel_to_sip_ms = match &presence {
            Ok(unit) if unit.active == "active" && unit.active_since_us > 0 => {
                Some(unit.active_since_us / 1_000)
            }
            Ok(unit) => {
                if unit.active == "failed" {
                    warnings.push(format!("the presence server ended with {}", unit.result));
                }
                None
            }
            Err(error) if units::is_not_there_yet(error) => None,
            Err(error) => {
                warnings.push(format!("the system services do not answer: {error}"));
                None
            }
        };
        let state = self.state.lock().await;
        let settings = state.settings.as_ref();
        Ok(Answer::Platform(Box::new(Facts {
            is_set_up: settings.is_some(),
            answer_file_fault: state.answer_file_fault.clone(),
            host_name: settings
                .map_or_else(|| "lamplight".to_owned(), |settings| settings.host_name.clone()),
            domain: settings.map(|settings| settings.domain.clone()),
            version: self.config.version.clone(),
            slot: self.config.slot.map(|slot| slot.name().to_owned()),
            hardware,
            uuid: machine::uuid(),
            kernel_to_sip_ms,
            addresses: machine::addresses(),
            warnings,
        })))
    }

    /// Sets the appliance up: from the console, or from an answer file, which may bring a hash in
    /// place of the password.
    ///
    /// # Errors
    /// A refusal that names the answer that cannot be.
    pub(crate) async fn set_up(
        &self,
        set_up: &SetUp,
        password_hash: Option<String>,
    ) -> Result<Answer, Refusal> {
        let mut state = self.state.lock().await;
        if state.settings.is_some() {
            return Err(Refusal::new(
                RefusalCode::AlreadySetUp,
                "the appliance is set up already",
                "first start",
                "change single settings with \"set …\"",
            ));
        }
        let settings = Settings::from_set_up(set_up)?;
        self.check_zone(&settings.time_zone)?;
        for key in &set_up.ssh_keys {
            ssh_keys::check(key)?;
        }
        let hash = match password_hash {
            Some(hash) => Some(hash),
            // Keys alone are enough, but then only an answer file can say so.
            None if set_up.password.is_empty() && !set_up.ssh_keys.is_empty() => None,
            None => {
                password::check(&set_up.password)?;
                Some(hashed(set_up.password.clone()).await?)
            }
        };
        let write = || {
            password::write(&self.config, hash.as_deref())?;
            ssh_keys::write(&self.config, &set_up.ssh_keys)?;
            written::write_all(&self.config, &settings)?;
            // Last: only now is it set up.
            settings.save(&self.config.settings())
        };
        write().map_err(|failure| failed(&failure, "first start"))?;
        tracing::info!(host = settings.host_name, domain = settings.domain, "set up");
        state.settings = Some(settings);
        state.answer_file_fault = None;
        drop(state);
        self.apply_set_up().await;
        Ok(Answer::Done)
    }

    /// What the settings start. A service manager that does not answer costs a restart, not the
    /// settings.
    async fn apply_set_up(&self) {
        for (what, done) in [
            ("network", self.bus.reload_network().await),
            ("presence", self.bus.start(units::PRESENCE).await),
            ("ssh", self.bus.start(units::SSH).await),
            ("time", self.bus.restart(units::TIME).await),
        ] {
            if let Err(error) = done {
                tracing::error!(what, %error, "a service could not be started; a restart does it");
            }
        }
    }

    fn check_zone(&self, zone: &str) -> Result<(), Refusal> {
        if clock::is_zone(&self.config, zone) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::InvalidValue,
            format!("there is no time zone {zone:?}"),
            "time zone",
            "\"show timezones\" lists them; for example Europe/Berlin",
        ))
    }

    /// Changes settings, on disk and for other programs.
    async fn change(&self, change: impl FnOnce(&mut Settings)) -> Result<Settings, Refusal> {
        let mut state = self.state.lock().await;
        let mut settings = state.settings.clone().ok_or_else(not_set_up)?;
        change(&mut settings);
        settings.check()?;
        settings.save(&self.config.settings()).map_err(|f| failed(&f, "settings"))?;
        let in_force = match &mut state.pending {
            // A network that waits for its confirmation stays in force meanwhile.
            Some(pending) => {
                let waiting = pending.settings.clone();
                pending.settings = Settings {
                    ipv4: waiting.ipv4,
                    ipv6: waiting.ipv6,
                    name_servers: waiting.name_servers,
                    mtu_bytes: waiting.mtu_bytes,
                    ..settings.clone()
                };
                &pending.settings
            }
            None => &settings,
        };
        written::write_all(&self.config, in_force).map_err(|f| failed(&f, "settings"))?;
        state.settings = Some(settings.clone());
        Ok(settings)
    }

    async fn show_network(&self) -> Result<Answer, Refusal> {
        let state = self.state.lock().await;
        let settings = state.settings.as_ref().ok_or_else(not_set_up)?;
        let network = network::show(&self.config, settings, state.pending.as_ref());
        Ok(Answer::Network(Box::new(network)))
    }

    async fn change_network(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Answer, Refusal> {
        let until = Instant::now() + CONFIRM_WITHIN;
        {
            let mut state = self.state.lock().await;
            let kept = state.settings.as_ref().ok_or_else(not_set_up)?;
            let mut settings =
                state.pending.as_ref().map_or_else(|| kept.clone(), |p| p.settings.clone());
            change(&mut settings);
            settings.check()?;
            written::write_network(&self.config, &settings).map_err(|f| failed(&f, "network"))?;
            state.pending = Some(Pending { settings, until });
        }
        tracing::info!(seconds = CONFIRM_WITHIN.as_secs(), "the network changes, unconfirmed");
        let applied = self.bus.reload_network().await;
        let platform = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            platform.undo_network(Some(until)).await;
        });
        applied.map_err(|error| bus_failed(&error))?;
        Ok(Answer::NetworkChanged(NetworkChanged {
            confirm_within_s: Some(CONFIRM_WITHIN.as_secs()),
        }))
    }

    async fn confirm_network(&self) -> Result<Answer, Refusal> {
        let mut state = self.state.lock().await;
        let Some(pending) = state.pending.clone() else {
            return Err(Refusal::new(
                RefusalCode::NotNow,
                "no change of the network waits for confirmation",
                "set network confirm",
                "\"show network\" shows what is in force",
            ));
        };
        pending
            .settings
            .save(&self.config.settings())
            .map_err(|failure| failed(&failure, "settings"))?;
        state.settings = Some(pending.settings);
        state.pending = None;
        tracing::info!("the changed network is confirmed");
        Ok(Answer::NetworkChanged(NetworkChanged { confirm_within_s: None }))
    }

    async fn revert_network(&self) -> Result<Answer, Refusal> {
        self.undo_network(None).await;
        Ok(Answer::NetworkChanged(NetworkChanged { confirm_within_s: None }))
    }

    /// Undoes a change that waits; `of` says which, when another may have come since.
    async fn undo_network(&self, of: Option<Instant>) {
        {
            let mut state = self.state.lock().await;
            let is_meant =
                state.pending.as_ref().is_some_and(|p| of.is_none_or(|until| p.until == until));
            let Some(settings) = state.settings.clone().filter(|_| is_meant) else { return };
            state.pending = None;
            tracing::warn!("the changed network is undone");
            if let Err(failure) = written::write_network(&self.config, &settings) {
                tracing::error!(%failure, "the network's former settings could not be written");
            }
        }
        if let Err(error) = self.bus.reload_network().await {
            tracing::error!(%error, "the network could not be told");
        }
    }

    async fn show_time(&self) -> Result<Answer, Refusal> {
        let settings = self.state.lock().await.settings.clone().ok_or_else(not_set_up)?;
        Ok(Answer::Time(clock::show(&self.config, &settings, &self.bus).await))
    }

    async fn set_clock(&self, now_unix_ms: u64) -> Result<Answer, Refusal> {
        if clock::is_synchronised() {
            return Err(Refusal::new(
                RefusalCode::NotNow,
                "the clock follows a time server",
                "set time clock",
                "nothing needs to be set; \"show time\" names the server",
            ));
        }
        clock::set(now_unix_ms).map_err(|error| failed(&error, "set time clock"))?;
        self.show_time().await
    }

    async fn set_sip(&self, sip: SipSettings) -> Result<Answer, Refusal> {
        self.change(|settings| {
            if let Some(trusted) = sip.trusted {
                settings.trusted = trusted;
            }
            if let Some(digest) = sip.digest {
                settings.digest = digest;
            }
        })
        .await?;
        self.bus.reload(units::PRESENCE).await.map_err(|error| bus_failed(&error))?;
        self.show_sip().await
    }

    async fn show_sip(&self) -> Result<Answer, Refusal> {
        let state = self.state.lock().await;
        let settings = state.settings.as_ref().ok_or_else(not_set_up)?;
        Ok(Answer::Sip(SipSettings {
            trusted: Some(settings.trusted.clone()),
            digest: Some(settings.digest.clone()),
        }))
    }

    async fn show_syslog(&self) -> Result<Answer, Refusal> {
        let state = self.state.lock().await;
        let settings = state.settings.as_ref().ok_or_else(not_set_up)?;
        Ok(Answer::Syslog(settings.syslog.as_ref().map(|syslog| self.forwarding.show(syslog))))
    }

    async fn set_syslog(&self, syslog: Option<Box<SyslogSettings>>) -> Result<Answer, Refusal> {
        let syslog = syslog.map(|syslog| *syslog);
        let is_usable =
            syslog.as_ref().is_none_or(|syslog| trust::certificates(&syslog.trust_pem).is_some());
        if !is_usable {
            return Err(Refusal::new(
                RefusalCode::InvalidValue,
                "there is no PEM certificate in what was given",
                "syslog",
                "give the certificate of the authority that issued the server's",
            ));
        }
        let wanted = syslog.clone();
        self.change(|settings| settings.syslog = wanted).await?;
        self.syslog.send_replace(syslog);
        self.show_syslog().await
    }

    async fn restart_service(&self, name: &str) -> Result<Answer, Refusal> {
        let Some(unit) = units::restartable(name) else {
            return Err(Refusal::new(
                RefusalCode::NotFound,
                format!("there is no service {name:?} that can be restarted"),
                "NAME",
                format!("one of {}", units::restartable_names()),
            ));
        };
        self.bus.restart(unit).await.map_err(|error| bus_failed(&error))?;
        Ok(Answer::Done)
    }

    fn power(self: &Arc<Self>, is_restart: bool) -> Answer {
        let platform = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(BEFORE_POWER).await;
            let done = if is_restart {
                platform.bus.reboot().await
            } else {
                platform.bus.power_off().await
            };
            if let Err(error) = done {
                tracing::error!(%error, "the machine does not go down");
            }
        });
        Answer::Done
    }
}

fn key_failed(what: &str) -> Refusal {
    Refusal::new(RefusalCode::PlatformFailed, what, "ssh", "try again; \"show status\" says more")
}
