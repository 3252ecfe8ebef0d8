//! The programs of the appliance, through systemd and its siblings on the system bus.

use std::sync::Arc;
use std::time::Duration;

use admin_api::answer::system::{Service, ServiceState};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

/// The programs that an administrator knows, the unit of each, and whether it may be restarted.
const SERVICES: [(&str, &str, bool); 7] = [
    ("firewall", "firewall.service", false),
    ("logs", "systemd-journald.service", true),
    ("network", "systemd-networkd.service", true),
    ("platform", "platformd.service", true),
    ("presence", "presenced.service", true),
    ("ssh", "sshd.service", true),
    ("time", "systemd-timesyncd.service", true),
];

/// The presence server's unit.
pub(crate) const PRESENCE: &str = "presenced.service";
/// The unit of OpenSSH.
pub(crate) const SSH: &str = "sshd.service";
/// The unit that follows time servers.
pub(crate) const TIME: &str = "systemd-timesyncd.service";

/// While the machine starts, systemd comes to the bus a moment after the bus itself.
const ATTEMPTS: u32 = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(250);

/// How long a job is waited for, and how often is looked.
const JOB_WITHIN: Duration = Duration::from_secs(10);
/// How long a unit may take to end (`TimeoutStopSec` of the longest, and some).
const STOP_WITHIN: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_millis(20);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// The bus, connected when it is first needed: never on the way up.
#[derive(Debug, Default, Clone)]
pub(crate) struct Bus(Arc<OnceCell<Connection>>);

/// What a unit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitState {
    /// `active`, `failed`, …
    pub(crate) active: String,
    /// When it became active, in microseconds of the monotonic clock; 0 for never.
    pub(crate) active_since_us: u64,
    /// The same in microseconds of the civil clock.
    pub(crate) active_since_unix_us: u64,
    /// How its last run ended: `success`, `exit-code`, …
    pub(crate) result: String,
    /// How often it was started again by itself.
    pub(crate) restarts: u32,
}

impl Bus {
    pub(crate) async fn connection(&self) -> zbus::Result<&Connection> {
        self.0.get_or_try_init(Connection::system).await
    }

    async fn ask<B>(&self, method: &str, body: &B) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        let bus = self.connection().await?;
        bus.call_method(Some(SYSTEMD), SYSTEMD_PATH, Some(MANAGER), method, body).await
    }

    /// Asks for something to be done, and waits for systemd where it is not there yet.
    async fn manage<B>(&self, method: &str, body: &B) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        let mut attempts = ATTEMPTS;
        loop {
            match self.ask(method, body).await {
                Err(error) if attempts > 0 && is_not_there_yet(&error) => {
                    attempts -= 1;
                    tokio::time::sleep(BETWEEN_ATTEMPTS).await;
                }
                answered => return answered,
            }
        }
    }

    /// Starts a unit.
    pub(crate) async fn start(&self, unit: &str) -> zbus::Result<()> {
        self.manage("StartUnit", &(unit, "replace")).await.map(drop)
    }

    /// Starts a unit, and waits until it is there.
    pub(crate) async fn start_and_wait(&self, unit: &str) -> zbus::Result<()> {
        let reply = self.manage("StartUnit", &(unit, "replace")).await?;
        let job: OwnedObjectPath = reply.body().deserialize()?;
        self.wait_for(&job, JOB_WITHIN).await;
        Ok(())
    }

    /// Stops a unit.
    pub(crate) async fn stop(&self, unit: &str) -> zbus::Result<()> {
        self.manage("StopUnit", &(unit, "replace")).await.map(drop)
    }

    /// Stops a unit, and waits until it has ended.
    pub(crate) async fn stop_and_wait(&self, unit: &str) -> zbus::Result<()> {
        let reply = self.manage("StopUnit", &(unit, "replace")).await?;
        let job: OwnedObjectPath = reply.body().deserialize()?;
        self.wait_for(&job, STOP_WITHIN).await;
        Ok(())
    }

    /// Restarts a unit.
    pub(crate) async fn restart(&self, unit: &str) -> zbus::Result<()> {
        self.manage("RestartUnit", &(unit, "replace")).await.map(drop)
    }

    /// Lets a unit read its settings again; starts it when it does not run.
    pub(crate) async fn reload(&self, unit: &str) -> zbus::Result<()> {
        let reply = self.manage("ReloadOrRestartUnit", &(unit, "replace")).await?;
        let job: OwnedObjectPath = reply.body().deserialize()?;
        self.wait_for(&job, JOB_WITHIN).await;
        Ok(())
    }

    /// Waits until a job is done, or for long enough: it goes on by itself.
    async fn wait_for(&self, job: &OwnedObjectPath, within: Duration) {
        let until = Instant::now() + within;
        while Instant::now() < until
            && self.property(SYSTEMD, job, "org.freedesktop.systemd1.Job", "State").await.is_ok()
        {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Restarts the machine.
    pub(crate) async fn reboot(&self) -> zbus::Result<()> {
        self.start("reboot.target").await
    }

    /// Shuts the machine down.
    pub(crate) async fn power_off(&self) -> zbus::Result<()> {
        self.start("poweroff.target").await
    }

    /// Lets systemd-networkd read its files again and configure what has changed.
    pub(crate) async fn reload_network(&self) -> zbus::Result<()> {
        self.reload("systemd-networkd.service").await
    }

    pub(crate) async fn property(
        &self,
        destination: &str,
        path: &str,
        interface: &str,
        name: &str,
    ) -> zbus::Result<OwnedVariant> {
        let bus = self.connection().await?;
        let reply = bus
            .call_method(
                Some(destination),
                path,
                Some("org.freedesktop.DBus.Properties"),
                "Get",
                &(interface, name),
            )
            .await?;
        reply.body().deserialize()
    }

    /// The time server that is followed.
    pub(crate) async fn time_server(&self) -> Option<String> {
        let value = self
            .property(
                "org.freedesktop.timesync1",
                "/org/freedesktop/timesync1",
                "org.freedesktop.timesync1.Manager",
                "ServerName",
            )
            .await
            .ok()?;
        String::try_from(value).ok().filter(|name| !name.is_empty())
    }

    /// What a unit says of itself, at once.
    pub(crate) async fn state(&self, unit: &str) -> zbus::Result<UnitState> {
        let reply = self.ask("LoadUnit", &(unit,)).await?;
        let path: OwnedObjectPath = reply.body().deserialize()?;
        let of_unit = "org.freedesktop.systemd1.Unit";
        let text = |value: OwnedVariant| String::try_from(value).unwrap_or_default();
        let number = |value: OwnedVariant| u64::try_from(value).unwrap_or_default();
        let active = self.property(SYSTEMD, &path, of_unit, "ActiveState").await?;
        let since = self.property(SYSTEMD, &path, of_unit, "ActiveEnterTimestampMonotonic").await?;
        let since_unix = self.property(SYSTEMD, &path, of_unit, "ActiveEnterTimestamp").await?;
        let of_service = "org.freedesktop.systemd1.Service";
        let result = self.property(SYSTEMD, &path, of_service, "Result").await;
        let restarts = self.property(SYSTEMD, &path, of_service, "NRestarts").await;
        Ok(UnitState {
            active: text(active),
            active_since_us: number(since),
            active_since_unix_us: number(since_unix),
            result: result.map(text).unwrap_or_default(),
            restarts: restarts.ok().and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        })
    }

    /// The programs that an administrator knows.
    pub(crate) async fn services(&self) -> zbus::Result<Vec<Service>> {
        let mut services = Vec::new();
        for (name, unit, _) in SERVICES {
            let state = self.state(unit).await?;
            let is_well = state.result.is_empty() || state.result == "success";
            services.push(Service {
                name: name.to_owned(),
                state: service_state(&state.active),
                since_unix_ms: state.active_since_unix_us / 1_000,
                remark: (!is_well).then(|| format!("its last run ended with {}", state.result)),
            });
        }
        Ok(services)
    }
}

/// Whether this is the bus before systemd has joined it.
pub(crate) fn is_not_there_yet(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::FDO(error)
        if matches!(**error, zbus::fdo::Error::ServiceUnknown(_)))
}

fn service_state(active: &str) -> ServiceState {
    match active {
        "active" | "reloading" => ServiceState::Running,
        "activating" => ServiceState::Starting,
        _ => ServiceState::Stopped,
    }
}

/// The unit of a program that may be restarted.
pub(crate) fn restartable(name: &str) -> Option<&'static str> {
    SERVICES.iter().find(|(known, _, may)| *known == name && *may).map(|(_, unit, _)| *unit)
}

/// Names of the programs that may be restarted.
pub(crate) fn restartable_names() -> String {
    let names = SERVICES.iter().filter(|(_, _, may)| *may).map(|(name, _, _)| *name);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{restartable, restartable_names};

    #[test]
    fn only_what_may_be_restarted_has_a_unit() {
        assert_eq!(restartable("presence"), Some("presenced.service"));
        assert_eq!(restartable("firewall"), None);
        assert_eq!(restartable("presenced.service"), None);
        assert!(restartable_names().contains("ssh"));
    }
}
