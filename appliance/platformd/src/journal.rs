//! The journal, read with `journalctl`.

use std::collections::VecDeque;
use std::process::Stdio;
use std::time::Duration;

use admin_api::answer::log::{LogInventory, LogLevel, LogLine, LogLines};
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::request::{LogQuery, MAX_LOG_LINES, MAX_LOG_WAIT_MS};
use serde::Deserialize;
use tokio::process::Command;

/// The program.
pub(crate) const JOURNALCTL: &str = "/usr/bin/journalctl";
/// Logs by name, and what of the journal belongs to each.
const LOGS: [Log; 7] = [
    Log { name: "all", arguments: &[], mark: "" },
    Log {
        name: "audit",
        arguments: &["-u", "platformd.service", "-u", "presenced.service"],
        mark: " audit: ",
    },
    Log { name: "kernel", arguments: &["_TRANSPORT=kernel"], mark: "" },
    Log {
        name: "network",
        arguments: &["-u", "systemd-networkd.service", "-u", "firewall.service"],
        mark: "",
    },
    Log {
        name: "platform",
        arguments: &["-u", "platformd.service", "-u", "systemd-timesyncd.service"],
        mark: "",
    },
    Log { name: "presence", arguments: &["-u", "presenced.service"], mark: "" },
    Log { name: "ssh", arguments: &["-u", "sshd.service"], mark: "" },
];
/// A log: its name, how `journalctl` finds it, what each of its lines has.
struct Log {
    name: &'static str,
    arguments: &'static [&'static str],
    mark: &'static str,
}

/// How often is looked for new lines while somebody waits for them.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Places in the journal that are remembered for those who read on.
const REMEMBERED: usize = 64;
/// How many bytes of a line are shown.
const MAX_TEXT_BYTES: usize = 4_096;

/// An entry as `journalctl -o json` prints it.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    #[serde(rename = "__CURSOR")]
    pub(crate) cursor: String,
    #[serde(rename = "__SEQNUM", default)]
    sequence: String,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    realtime_us: String,
    #[serde(rename = "PRIORITY", default)]
    pub(crate) priority: Option<String>,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Option<String>,
    #[serde(rename = "_COMM", default)]
    command: Option<String>,
    #[serde(rename = "_BOOT_ID", default)]
    boot: Option<String>,
    #[serde(rename = "_PID", default)]
    pub(crate) pid: Option<String>,
    #[serde(rename = "MESSAGE", default)]
    message: serde_json::Value,
}

impl Entry {
    /// Reads one line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Who wrote it.
    pub(crate) fn writer(&self) -> &str {
        self.identifier.as_deref().or(self.command.as_deref()).unwrap_or("unknown")
    }

    /// When, in microseconds since 1970.
    pub(crate) fn at_unix_us(&self) -> u64 {
        self.realtime_us.parse().unwrap_or_default()
    }

    /// What it says, free of control characters.
    pub(crate) fn text(&self) -> String {
        let text = match &self.message {
            serde_json::Value::String(text) => text.clone(),
            // Octets that are no UTF-8 come as a list of numbers.
            serde_json::Value::Array(octets) => {
                let octets: Vec<u8> =
                    octets.iter().filter_map(|octet| u8::try_from(octet.as_u64()?).ok()).collect();
                String::from_utf8_lossy(&octets).into_owned()
            }
            _ => String::new(),
        };
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if text.len() > MAX_TEXT_BYTES {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text.push('…');
        }
        text
    }

    fn level(&self) -> LogLevel {
        match self.priority.as_deref() {
            Some("0" | "1" | "2" | "3") => LogLevel::Error,
            Some("4") => LogLevel::Warn,
            Some("7") => LogLevel::Debug,
            _ => LogLevel::Info,
        }
    }

    /// Whether it is an error: our own programs say so at the beginning of the line.
    fn is_error(&self) -> bool {
        let text = self.text();
        // Behind the time, where there is one.
        let says_so = text.split_whitespace().take(2).any(|word| word == "ERROR");
        says_so || self.level() == LogLevel::Error
    }

    fn into_line(self) -> LogLine {
        LogLine {
            sequence: self.sequence.parse().unwrap_or_default(),
            at_unix_ms: self.at_unix_us() / 1_000,
            level: self.level(),
            area: self.writer().to_owned(),
            text: self.text(),
        }
    }
}

/// Places in the journal by the number of their entry.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    places: VecDeque<(u64, String)>,
}

impl Journal {
    /// The logs there are.
    pub(crate) fn logs() -> Vec<LogInventory> {
        let inventory = |name: &str| LogInventory {
            name: name.to_owned(),
            lines: 0,
            max_lines: 0,
            size_bytes: 0,
            oldest_unix_ms: None,
            newest_unix_ms: None,
        };
        LOGS.iter().map(|log| inventory(log.name)).collect()
    }

    fn place_of(&self, sequence: u64) -> Option<&str> {
        self.places.iter().find(|(known, _)| *known == sequence).map(|(_, cursor)| cursor.as_str())
    }

    fn remember(&mut self, sequence: u64, cursor: String) {
        if self.place_of(sequence).is_none() {
            if self.places.len() >= REMEMBERED {
                self.places.pop_front();
            }
            self.places.push_back((sequence, cursor));
        }
    }
}

/// Lines of a log, waiting for them when that is asked.
///
/// # Errors
/// There is no such log, or the journal cannot be read.
pub(crate) async fn read(
    journal: &tokio::sync::Mutex<Journal>,
    query: &LogQuery,
) -> Result<LogLines, Refusal> {
    let Some(log) = LOGS.iter().find(|log| log.name == query.log) else {
        return Err(Refusal::new(
            RefusalCode::UnknownLog,
            format!("there is no log {:?}", query.log),
            "LOG",
            "\"file list log\" lists them",
        ));
    };
    let wait = Duration::from_millis(query.wait_ms.min(MAX_LOG_WAIT_MS));
    let until = tokio::time::Instant::now() + wait;
    loop {
        let lines = read_now(journal, query, log).await?;
        let is_time_over = tokio::time::Instant::now() >= until;
        if !lines.lines.is_empty() || query.after_sequence.is_none() || is_time_over {
            return Ok(lines);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn read_now(
    journal: &tokio::sync::Mutex<Journal>,
    query: &LogQuery,
    log: &Log,
) -> Result<LogLines, Refusal> {
    let limit = usize::try_from(query.limit.clamp(1, MAX_LOG_LINES)).unwrap_or(1);
    let mut command = Command::new(JOURNALCTL);
    command.args(["-o", "json", "--no-pager", "-q", "--all"]);
    command.arg("--output-fields=PRIORITY,SYSLOG_IDENTIFIER,_COMM,_PID,MESSAGE");
    match query.minimum_level {
        Some(LogLevel::Error) => {
            command.args(["-p", "3"]);
        }
        Some(LogLevel::Warn) => {
            command.args(["-p", "4"]);
        }
        Some(LogLevel::Info) => {
            command.args(["-p", "6"]);
        }
        Some(LogLevel::Debug | LogLevel::Trace) | None => {}
    }
    let is_searched = query.contains.is_some() || query.area.is_some() || !log.mark.is_empty();
    let after = query.after_sequence.filter(|sequence| *sequence > 0);
    match after {
        Some(sequence) => {
            if let Some(cursor) = journal.lock().await.place_of(sequence) {
                command.arg(format!("--after-cursor={cursor}"));
            }
        }
        None if query.after_sequence.is_none() && !is_searched => {
            command.args(["-n", &limit.to_string()]);
        }
        None => {}
    }
    command.args(log.arguments);
    let wanted = |entry: &Entry, text: &str| {
        text.contains(log.mark)
            && query.area.as_deref().is_none_or(|area| entry.writer() == area)
            && query
                .contains
                .as_deref()
                .is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
    };
    let mut kept: VecDeque<LogLine> = VecDeque::new();
    let mut last = None;
    let mut more = false;
    let mut output = Output::start(command)?;
    while let Some(entry) = output.next().await? {
        let cursor = entry.cursor.clone();
        let text = entry.text();
        let is_wanted = wanted(&entry, &text);
        let line = entry.into_line();
        if after.is_some_and(|after| line.sequence <= after) {
            continue;
        }
        if query.after_sequence.is_some() && kept.len() >= limit {
            more = true;
            break;
        }
        last = Some((line.sequence, cursor));
        if is_wanted {
            kept.push_back(line);
            if kept.len() > limit {
                kept.pop_front();
            }
        }
    }
    let next_after_sequence = match last {
        Some((sequence, cursor)) => {
            journal.lock().await.remember(sequence, cursor);
            sequence
        }
        None => query.after_sequence.unwrap_or_default(),
    };
    Ok(LogLines { lines: kept.into(), next_after_sequence, more, lost_lines: 0 })
}

/// What the program prints, entry by entry; the program ends with this.
#[derive(Debug)]
pub(crate) struct Output {
    lines: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
    _child: tokio::process::Child,
}

impl Output {
    /// Starts the program.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(mut command: Command) -> Result<Self, Refusal> {
        use tokio::io::AsyncBufReadExt as _;
        command.env_clear().stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| unreadable(&error))?;
        let Some(stdout) = child.stdout.take() else {
            return Err(unreadable(&std::io::Error::other("it has no output")));
        };
        Ok(Self { lines: tokio::io::BufReader::new(stdout).lines(), _child: child })
    }

    /// The next entry; none when there are no more.
    ///
    /// # Errors
    /// The output cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>, Refusal> {
        loop {
            match self.lines.next_line().await.map_err(|error| unreadable(&error))? {
                None => return Ok(None),
                Some(line) => {
                    if let Some(entry) = Entry::parse(&line) {
                        return Ok(Some(entry));
                    }
                }
            }
        }
    }
}

/// What programs called an error in the machine's starts before this one and since a time, each
/// thing once, the newest of them, with the time in UTC.
pub(crate) async fn errors_of_former_starts(
    since_unix_ms: Option<u64>,
    limit: usize,
) -> Vec<String> {
    match former_errors(since_unix_ms, limit).await {
        Ok(lines) => lines,
        Err(refusal) => vec![refusal.what],
    }
}

async fn former_errors(since_unix_ms: Option<u64>, limit: usize) -> Result<Vec<String>, Refusal> {
    let this = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let this = this.trim().replace('-', "");
    let mut command = Command::new(JOURNALCTL);
    command.args(["-o", "json", "--no-pager", "-q", "--all"]);
    command.arg("--output-fields=PRIORITY,SYSLOG_IDENTIFIER,_COMM,_BOOT_ID,MESSAGE");
    match since_unix_ms {
        Some(since) => command.arg(format!("--since=@{}", since / 1_000)),
        None => command.arg("--boot=-1"),
    };
    let mut lines: VecDeque<(String, String)> = VecDeque::new();
    let mut output = Output::start(command)?;
    while let Some(entry) = output.next().await? {
        if entry.boot.as_deref() == Some(this.as_str()) || !entry.is_error() {
            continue;
        }
        let at = i64::try_from(entry.at_unix_us()).unwrap_or_default();
        let at = jiff::Timestamp::from_microsecond(at).unwrap_or_default();
        let what = format!("{}: {}", entry.writer(), entry.text().trim_start());
        lines.retain(|(_, known)| *known != what);
        lines.push_back((at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(), what));
        if lines.len() > limit {
            lines.pop_front();
        }
    }
    Ok(lines.into_iter().map(|(at, what)| format!("{at} {what}")).collect())
}

fn unreadable(error: &std::io::Error) -> Refusal {
    Refusal::new(
        RefusalCode::PlatformFailed,
        format!("the journal cannot be read: {error}"),
        "journal",
        "try again; \"show alarms\" may say more",
    )
}

#[cfg(test)]
mod tests {
    use admin_api::answer::log::LogLevel;

    use super::{Entry, Journal, REMEMBERED};

    #[test]
    fn entries_are_read_as_journalctl_prints_them() {
        let line = r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456",
            "__SEQNUM":"77","__MONOTONIC_TIMESTAMP":"5","_BOOT_ID":"x","PRIORITY":"4",
            "SYSLOG_IDENTIFIER":"sshd","_PID":"12","MESSAGE":"bad\u001b[2Jline\nnext"}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!((entry.writer(), entry.pid.as_deref()), ("sshd", Some("12")));
        let line = entry.into_line();
        assert_eq!((line.sequence, line.at_unix_ms), (77, 1_700_000_000_123));
        assert_eq!((line.level, line.text.as_str()), (LogLevel::Warn, "bad [2Jline next"));
    }

    #[test]
    fn octets_and_absent_fields_are_no_trouble() {
        let line = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":[104,105,255]}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!((entry.writer(), entry.text().as_str()), ("unknown", "hi\u{fffd}"));
        let line = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":null}"#;
        assert_eq!(Entry::parse(line).unwrap().text(), "");
        assert!(Entry::parse("nonsense").is_none());
    }

    #[test]
    fn few_places_are_remembered() {
        let mut journal = Journal::default();
        for sequence in 0..=REMEMBERED {
            journal.remember(u64::try_from(sequence).unwrap(), format!("c{sequence}"));
        }
        assert_eq!(journal.place_of(0), None);
        assert_eq!(journal.place_of(1), Some("c1"));
    }
}
