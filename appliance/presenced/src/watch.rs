//! What is looked at from time to time: the service manager's watchdog, and alarms that follow
//! from numbers.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::alarm::AlarmKind;
use crate::node::Node;

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
