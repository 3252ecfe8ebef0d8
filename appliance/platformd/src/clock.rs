//! The clock, the time zone and the time servers.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use admin_api::platform::answer::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::settings::Settings;
use crate::units::Bus;

/// There while systemd-timesyncd follows a server.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// Whether the clock follows a time server.
pub(crate) fn is_synchronised() -> bool {
    Path::new(SYNCHRONISED).exists()
}

/// Whether there is such a time zone.
pub(crate) fn is_zone(config: &Config, zone: &str) -> bool {
    let is_name = zone
        .split('/')
        .all(|part| !part.is_empty() && part.bytes().all(is_zone_byte) && !part.starts_with('.'));
    is_name && zone_data(config, zone).is_some()
}

fn is_zone_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+-".contains(&byte)
}

fn zone_data(config: &Config, zone: &str) -> Option<TimeZone> {
    let data = std::fs::read(config.zoneinfo_dir.join(zone)).ok()?;
    TimeZone::tzif(zone, &data).ok()
}

/// The zones there are, in order.
pub(crate) fn zones(config: &Config) -> Vec<String> {
    let text = std::fs::read_to_string(config.zoneinfo_dir.join("tzdata.zi"));
    let mut zones: Vec<_> = text
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            match words.next()? {
                "Z" => words.next(),
                "L" => words.nth(1),
                _ => None,
            }
        })
        .filter(|zone| is_zone(config, zone))
        .map(ToOwned::to_owned)
        .collect();
    zones.sort_unstable();
    zones
}

/// The clock as an administrator sees it.
pub(crate) async fn show(config: &Config, settings: &Settings, bus: &Bus) -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let zone = zone_data(config, &settings.time_zone).unwrap_or(TimeZone::UTC);
    let local = Timestamp::now().to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    Time {
        now_unix_ms,
        local,
        zone: settings.time_zone.clone(),
        servers: settings.time_servers.clone(),
        server_in_use: bus.time_server().await,
        is_synchronised: is_synchronised(),
    }
}

/// Sets the clock.
pub(crate) fn set(now_unix_ms: u64) -> Result<(), nix::Error> {
    let seconds = i64::try_from(now_unix_ms / 1_000).unwrap_or(i64::MAX);
    let nanoseconds = i64::try_from(now_unix_ms % 1_000 * 1_000_000).unwrap_or_default();
    nix::time::clock_settime(
        nix::time::ClockId::CLOCK_REALTIME,
        nix::sys::time::TimeSpec::new(seconds, nanoseconds),
    )
}
