//! Text that is safe for terminals, tables, and how numbers, times and sizes look.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

/// Where the machine keeps its zone.
const LOCAL_TIME: &str = "/etc/localtime";

/// Whether a character could steer the terminal, or make text look like something else.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with everything that could steer a terminal written out: `\n`, `\u{1b}`.
pub(crate) fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// JSON with everything that could steer a terminal written as `\uXXXX`. Such characters stand
/// only inside JSON's strings, so the document stays the same; line feeds stay.
pub(crate) fn safe_json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for character in document.chars() {
        if character != '\n' && is_unsafe(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The zone that times are shown in.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// The zone that the machine is set to; UTC when it is set to none.
    pub(crate) fn of_this_machine() -> Self {
        let zone = std::fs::read(LOCAL_TIME)
            .ok()
            .and_then(|rules| TimeZone::tzif("local", &rules).ok())
            .unwrap_or(TimeZone::UTC);
        Self(zone)
    }

    /// UTC.
    #[cfg(test)]
    pub(crate) const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// A zone by its POSIX rule.
    #[cfg(test)]
    pub(crate) fn posix(rule: &str) -> Self {
        Self(TimeZone::posix(rule).unwrap())
    }

    /// A time as ISO 8601, to the second.
    pub(crate) fn time(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%Y-%m-%dT%H:%M:%S%:z")
    }

    /// A time as ISO 8601, to the millisecond.
    pub(crate) fn precise_time(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%Y-%m-%dT%H:%M:%S.%3f%:z")
    }

    /// The time that people there write like this: `2026-03-01 14:05:00`.
    pub(crate) fn unix_ms(&self, text: &str) -> Option<u64> {
        let time = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
        let time = time.to_zoned(self.0.clone()).ok()?;
        u64::try_from(time.timestamp().as_millisecond()).ok()
    }

    fn format(&self, unix_ms: u64, format: &str) -> String {
        let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        match time {
            Some(time) => time.to_zoned(self.0.clone()).strftime(format).to_string(),
            None => format!("{unix_ms} ms after 1970"),
        }
    }
}

/// A span of time by its two largest units: `3d 4h`.
pub(crate) fn duration(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let shown: Vec<String> = parts
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

/// A size with a binary unit: `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    // In tenths, so that no floating point is needed; rounding up may reach the next unit.
    let mut tenths = u128::from(bytes) * 10;
    for unit in UNITS {
        tenths = (tenths + 512) / 1_024;
        if tenths < 10_240 || unit == "EiB" {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// `yes` or `no`.
pub(crate) const fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// The value, or a dash.
pub(crate) fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

/// Names with values, one a line, the values in one column.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Adds a value.
    pub(crate) fn add(mut self, name: impl Into<String>, value: impl AsRef<str>) -> Self {
        self.0.push((safe(&name.into()), safe(value.as_ref())));
        self
    }

    /// Adds a value where there is one.
    pub(crate) fn maybe(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.add(name, value),
            None => self,
        }
    }

    /// The lines.
    pub(crate) fn lines(self) -> Vec<String> {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let line = |(name, value): &(String, String)| {
            format!("{name:width$}  {value}").trim_end().to_owned()
        };
        self.0.iter().map(line).collect()
    }
}

/// Columns under heads.
#[derive(Debug)]
pub(crate) struct Table {
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) const fn new(heads: &'static [&'static str]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    /// Adds a row; one cell a head.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.heads.len());
        self.rows.push(cells.iter().map(|cell| safe(cell)).collect());
    }

    /// How wide the columns must be.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        widths
    }

    /// The rows without the heads.
    pub(crate) fn rows(&self, widths: &[usize]) -> Vec<String> {
        self.rows.iter().map(|row| aligned(row, widths)).collect()
    }

    /// Heads and rows; nothing when there are no rows.
    pub(crate) fn lines_within(&self, widths: &[usize]) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![aligned(self.heads, widths)];
        lines.extend(self.rows(widths));
        lines
    }

    /// Heads and rows, as wide as they need to be.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines_within(&self.widths())
    }
}

fn aligned<S: AsRef<str>>(cells: &[S], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().map(AsRef::as_ref).zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 2));
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::{Fields, Table, Zone, duration, safe, safe_json, size};

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(safe("Anna Müller 漢字 🙂"), "Anna Müller 漢字 🙂");
        assert_eq!(
            safe("a\u{1b}[2Jb\r\n\u{7}\u{9b}1m\u{7f}"),
            "a\\u{1b}[2Jb\\r\\n\\u{7}\\u{9b}1m\\u{7f}"
        );
        assert_eq!(safe("gpj\u{202e}exe"), "gpj\\u{202e}exe");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "note": "\u{1b}[2J \u{9b}x \u{202e} \u{e0041} Ω\n" });
        let text = safe_json(&value.to_string());
        assert!(!text.chars().any(super::is_unsafe), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn times_are_shown_in_the_zone_as_iso() {
        assert_eq!(Zone::utc().time(0), "1970-01-01T00:00:00+00:00");
        let berlin = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(berlin.time(1_750_000_000_000), "2025-06-15T17:06:40+02:00");
        assert_eq!(berlin.precise_time(1_735_689_600_007), "2025-01-01T01:00:00.007+01:00");
        assert_eq!(Zone::utc().time(u64::MAX), format!("{} ms after 1970", u64::MAX));
    }

    #[test]
    fn times_are_read_in_the_zone() {
        let berlin = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(berlin.unix_ms("2025-06-15 17:06:40"), Some(1_750_000_000_000));
        for wrong in ["", "now", "2025-06-15", "2025-02-30 00:00:00", "1960-01-01 00:00:00"] {
            assert_eq!(berlin.unix_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m 1s"),
            (3_600, "1h"),
            (3_605, "1h"),
            (7_320, "2h 2m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn sizes_have_one_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (1_048_576, "1.0 MiB"),
            (3_221_225_472, "3.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn columns_stand_below_their_heads_whatever_the_letters() {
        let mut table = Table::new(&["ID", "NAME", "STATE"]);
        table.row(["anna".into(), "漢字".into(), "ok".into()]);
        table.row(["b".into(), "Bert\tB".into(), String::new()]);
        assert_eq!(table.lines(), ["ID    NAME     STATE", "anna  漢字     ok", "b     Bert\\tB"]);
        assert_eq!(Table::new(&["ID"]).lines(), Vec::<String>::new());
    }

    #[test]
    fn fields_share_a_column() {
        let lines =
            Fields::default().add("A", "1").maybe("Long", Some("x")).maybe("B", None::<&str>);
        assert_eq!(lines.lines(), ["A     1", "Long  x"]);
    }
}
