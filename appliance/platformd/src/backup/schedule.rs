//! Backups that are made by themselves.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::Plan;
use crate::config::Config;
use crate::platform::Platform;

/// How often is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// When the next one is due.
pub(super) fn next(config: &Config, zone: &str, minute_of_day: u16) -> Option<u64> {
    let bytes = std::fs::read(config.zoneinfo_dir.join(zone)).ok()?;
    let zone = TimeZone::tzif(zone, &bytes).ok()?;
    let next = next_after(Timestamp::now(), zone, minute_of_day)?;
    u64::try_from(next.as_millisecond()).ok()
}

fn next_after(now: Timestamp, zone: TimeZone, minute_of_day: u16) -> Option<Timestamp> {
    let local = now.to_zoned(zone);
    let hour = i8::try_from(minute_of_day / 60).ok()?;
    let minute = i8::try_from(minute_of_day % 60).ok()?;
    let at = time(hour.min(23), minute, 0, 0);
    let today = local.with().time(at).build().ok()?;
    let next = if today > local {
        today
    } else {
        local.checked_add(1.day()).ok()?.with().time(at).build().ok()?
    };
    Some(next.timestamp())
}

/// Makes backups when they are due, as long as the machine runs.
pub(crate) async fn follow(platform: Arc<Platform>) {
    let mut due: Option<(u16, u64)> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let plan = match Plan::read(platform.config()) {
            Ok(plan) => plan,
            Err(error) => {
                tracing::warn!(error, "when backups are due cannot be read");
                continue;
            }
        };
        let (Some(schedule), Some(settings)) = (plan.schedule, platform.settings().await) else {
            due = None;
            continue;
        };
        let minute = schedule.minute_of_day;
        let next = next(platform.config(), &settings.time_zone, minute);
        let is_due = due.is_some_and(|(of, at)| of == minute && at <= super::now_unix_ms());
        due = next.map(|next| (minute, next));
        if is_due {
            let begun =
                platform.backups().create(&platform, settings, schedule.place, schedule.keep);
            if let Err(refusal) = begun {
                tracing::error!(%refusal, "the backup that was due is not made");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::{TimeZone, offset};

    use super::next_after;

    #[test]
    fn the_next_one_is_today_or_tomorrow() {
        let zone = TimeZone::fixed(offset(2));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let next = |now: &str, minute| next_after(at(now), zone.clone(), minute).unwrap();
        assert_eq!(next("2026-03-01T00:00:00Z", 150), at("2026-03-01T00:30:00Z"));
        assert_eq!(next("2026-03-01T00:30:00Z", 150), at("2026-03-02T00:30:00Z"));
        assert_eq!(next("2026-12-31T22:00:00Z", 0), at("2027-01-01T22:00:00Z"));
    }
}
