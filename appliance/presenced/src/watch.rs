//! What is looked at from time to time: the service manager's watchdog, and alarms that follow
//! from numbers.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::alarm::{AlarmKind, Alarms};
use crate::node::Node;
use crate::reserve::{LOW_BYTES, Reserve};

/// How often numbers are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Tells the service manager that the server answers; without a watchdog it ends at once.
pub(crate) async fn watchdog(node: Node) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut tick = tokio::time::interval(limit / 3);
    loop {
        tick.tick().await;
        match node.observe().await {
            Ok(_) => {
                if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
                    tracing::debug!(%error, "the service manager could not be told");
                }
            }
            Err(error) => tracing::error!(%error, "the watchdog is not fed"),
        }
    }
}

/// Raises and ends the alarms that follow from numbers.
pub(crate) async fn numbers(node: Node) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let Ok(totals) = node.totals().await else { continue };
        node.alarms.set(
            AlarmKind::UsersNotServed,
            (totals.unserved_users > 0).then(|| {
                format!(
                    "{} enabled users are not served: this machine carries {}",
                    totals.unserved_users, totals.max_users
                )
            }),
        );
        if totals.enabled_users < totals.max_users {
            node.alarms.clear(AlarmKind::CapacityReached);
        }
    }
}

/// Raises and ends the alarm of a disk that has little room, and keeps the reserve for starts
/// whole.
pub(crate) async fn disk(reserve: Reserve, alarms: Alarms) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let (reserve, alarms) = (reserve.clone(), alarms.clone());
        // A disk may keep whoever asks waiting.
        let looked = tokio::task::spawn_blocking(move || {
            let free = match reserve.free_bytes() {
                Ok(free) => free,
                Err(error) => return tracing::warn!(%error, "the disk's room cannot be read"),
            };
            let what = || format!("{} MiB are free on the data partition", free >> 20);
            alarms.set(AlarmKind::DiskLow, (free < LOW_BYTES).then(what));
            if let Err(error) = reserve.fill() {
                tracing::debug!(%error, "the reserve on the disk cannot be made whole");
            }
        });
        if looked.await.is_err() {
            return;
        }
    }
}
