//! Logs and log levels as text.

use admin_api::answer::log::{LogInventory, LogLevels, LogLine};

use super::text::{or_dash, safe, size};
use super::{Table, Zone};

/// A line of a log.
pub(crate) fn line(line: &LogLine, zone: &Zone) -> String {
    let time = zone.precise_time(line.at_unix_ms);
    let level = line.level.name().to_uppercase();
    format!("{time} {level:5} {}: {}", safe(&line.area), safe(&line.text))
}

/// The logs there are.
pub(crate) fn inventory(logs: &[LogInventory], zone: &Zone) -> Vec<String> {
    let mut table = Table::new(&["LOG", "LINES", "AT MOST", "SIZE", "OLDEST", "NEWEST"]);
    for log in logs {
        table.row([
            log.name.clone(),
            log.lines.to_string(),
            log.max_lines.to_string(),
            size(log.size_bytes),
            or_dash(log.oldest_unix_ms.map(|time| zone.time(time))),
            or_dash(log.newest_unix_ms.map(|time| zone.time(time))),
        ]);
    }
    table.lines()
}

/// The levels in force.
pub(crate) fn levels(levels: &LogLevels) -> Vec<String> {
    let mut table = Table::new(&["AREA", "LEVEL", "FROM"]);
    table.row(["default".to_owned(), levels.default.to_string(), String::new()]);
    for area in &levels.areas {
        let from = if area.is_set { "set for this area" } else { "default" };
        table.row([area.area.clone(), area.level.to_string(), from.to_owned()]);
    }
    table.lines()
}
