//! Logging: one stream to standard error, the newest lines kept for `show log`, levels by area
//! that change live. Messages are logged at TRACE, user data at DEBUG at most, secrets never.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use admin_api::answer::log::{AreaLevel, LogInventory, LogLevel, LogLevels, LogLine, LogLines};
use admin_api::request::{LogQuery, MAX_LOG_LINES};
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::alarm::{AlarmKind, Alarms};
use crate::clock::unix_millis;
use crate::settings::LogSettings;

/// The name of the one log.
pub(crate) const LOG_NAME: &str = "presence";

/// What an administrator can set a level for, and the code that it covers.
const AREAS: &[(&str, &[&str])] = &[
    ("control", &["presenced::admin_socket", "presenced::import", "admin_api"]),
    ("dns", &["presenced::resolver", "hickory_resolver", "hickory_net", "hickory_proto"]),
    ("http", &["presenced::http", "axum", "hyper", "hyper_util"]),
    ("presence", &["presence"]),
    ("sip", &["sip", "presenced::server_task", "presenced::listener", "presenced::flow"]),
    ("store", &["store", "presenced::store_task", "sled"]),
    ("system", &["presenced", "hwprofiles"]),
    ("tls", &["presenced::listener::tls", "presenced::certificate", "rustls", "tokio_rustls"]),
];

/// Lines kept for `show log`.
const RING_LINES: usize = 4_000;
/// Bytes of a line's text that are kept.
const LINE_BYTES: usize = 2_048;
/// Lines that may wait for standard error.
const QUEUE_LINES: usize = 4_096;

/// There is no such log or area.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownLog {
    /// No such area.
    #[error("there is no log area \"{0}\"")]
    Area(String),
    /// No such log.
    #[error("there is no log \"{0}\"")]
    Name(String),
}

/// The handle on the log: levels and recent lines.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    ring: Ring,
    stderr: StderrQueue,
    levels: Arc<Mutex<Levels>>,
    filter: reload::Handle<Targets, Registry>,
}

#[derive(Debug)]
struct Levels {
    built_in: LogLevel,
    default: LogLevel,
    set: BTreeMap<&'static str, LogLevel>,
}

impl Log {
    /// Starts logging for the whole process.
    pub(crate) fn start(settings: LogSettings) -> anyhow::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&lines))?;
        let stderr = StderrQueue { queue, dropped: Arc::default() };
        let ring = Ring::default();
        let level = from_tracing(settings.level);
        let levels = Levels { built_in: level, default: level, set: BTreeMap::new() };
        let (filter, handle) = reload::Layer::new(levels.targets());
        let writer = stderr.clone();
        let format =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let registry = tracing_subscriber::registry().with(filter).with(ring.clone());
        if settings.json {
            registry.with(format.json()).try_init()?;
        } else {
            registry.with(format).try_init()?;
        }
        Ok(Self { ring, stderr, levels: Arc::new(Mutex::new(levels)), filter: handle })
    }

    /// Changes the level of one area or of `default`; `None` takes the setting back.
    pub(crate) fn set_level(&self, area: &str, level: Option<LogLevel>) -> Result<(), UnknownLog> {
        let mut levels = lock(&self.levels);
        levels.set(area, level)?;
        let filter = levels.targets();
        drop(levels);
        if self.filter.reload(filter).is_err() {
            tracing::warn!("the log filter is gone");
        }
        Ok(())
    }

    /// Takes another level from the settings file. Areas with a level of their own keep it, and
    /// so do the others when an administrator has set the default.
    pub(crate) fn set_built_in(&self, level: tracing::Level) {
        let mut levels = lock(&self.levels);
        let was_built_in = levels.default == levels.built_in;
        levels.built_in = from_tracing(level);
        if was_built_in {
            levels.default = levels.built_in;
        }
        let filter = levels.targets();
        drop(levels);
        if self.filter.reload(filter).is_err() {
            tracing::warn!("the log filter is gone");
        }
    }

    /// The levels in force.
    pub(crate) fn levels(&self) -> LogLevels {
        let levels = lock(&self.levels);
        let areas = AREAS.iter().map(|(area, _)| AreaLevel {
            area: (*area).to_owned(),
            level: levels.of(area),
            is_set: levels.set.contains_key(area),
        });
        LogLevels { default: levels.default, areas: areas.collect() }
    }

    /// Lines that match, waiting for the first as long as asked.
    pub(crate) async fn read(&self, query: &LogQuery) -> Result<LogLines, UnknownLog> {
        if query.log != LOG_NAME {
            return Err(UnknownLog::Name(query.log.clone()));
        }
        if let Some(area) = &query.area
            && !AREAS.iter().any(|(name, _)| name == area)
        {
            return Err(UnknownLog::Area(area.clone()));
        }
        let wait = Duration::from_millis(query.wait_ms.min(admin_api::request::MAX_LOG_WAIT_MS));
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let written = self.ring.written.notified();
            tokio::pin!(written);
            // Registered before looking, or a line between the two would be missed.
            written.as_mut().enable();
            let lines = lock(&self.ring.kept).read(query);
            if !lines.lines.is_empty() || query.after_sequence.is_none() {
                return Ok(lines);
            }
            if tokio::time::timeout_at(deadline, written).await.is_err() {
                return Ok(lines);
            }
        }
    }

    /// The newest lines, oldest of them first.
    pub(crate) fn newest(&self, count: usize) -> Vec<LogLine> {
        let kept = lock(&self.ring.kept);
        kept.lines.iter().skip(kept.lines.len().saturating_sub(count)).cloned().collect()
    }

    /// What is kept.
    pub(crate) fn inventory(&self) -> LogInventory {
        let kept = lock(&self.ring.kept);
        LogInventory {
            name: LOG_NAME.to_owned(),
            lines: kept.lines.len().try_into().unwrap_or(u64::MAX),
            max_lines: RING_LINES.try_into().unwrap_or(u64::MAX),
            size_bytes: kept.bytes.try_into().unwrap_or(u64::MAX),
            oldest_unix_ms: kept.lines.front().map(|line| line.at_unix_ms),
            newest_unix_ms: kept.lines.back().map(|line| line.at_unix_ms),
        }
    }

    /// Lines that standard error was too slow for.
    pub(crate) fn dropped(&self) -> u64 {
        self.stderr.dropped.load(Ordering::Relaxed)
    }

    /// Waits until standard error has every line, but not for ever.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.stderr.queue.try_send(Line::Flush(done)).is_ok() {
            let _ = written.recv_timeout(Duration::from_secs(1));
        }
    }

    /// Logs every panic and raises an alarm for it.
    pub(crate) fn report_panics(&self, alarms: Alarms) {
        let log = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let words = panic.payload_as_str().unwrap_or("no message");
            let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
            tracing::error!(%place, %thread, "a task failed: {words}");
            alarms.raise(AlarmKind::InternalError, format!("a task failed at {place}"));
            log.flush();
        }));
    }
}

impl Levels {
    fn of(&self, area: &str) -> LogLevel {
        self.set.get(area).copied().unwrap_or(self.default)
    }

    fn set(&mut self, area: &str, level: Option<LogLevel>) -> Result<(), UnknownLog> {
        if area == "default" {
            self.default = level.unwrap_or(self.built_in);
            return Ok(());
        }
        let (area, _) = AREAS
            .iter()
            .find(|(name, _)| *name == area)
            .ok_or_else(|| UnknownLog::Area(area.to_owned()))?;
        match level {
            Some(level) => self.set.insert(area, level),
            None => self.set.remove(area),
        };
        Ok(())
    }

    fn targets(&self) -> Targets {
        // Who changed what is logged whatever the levels are.
        let mut targets =
            Targets::new().with_default(LevelFilter::WARN).with_target("audit", LevelFilter::INFO);
        for (area, modules) in AREAS {
            let level = to_filter(self.of(area));
            for module in *modules {
                let is_ours = matches!(
                    module.split("::").next(),
                    Some("presenced" | "sip" | "presence" | "store" | "hwprofiles" | "admin_api")
                );
                // Libraries talk at INFO and DEBUG about their own affairs.
                let level = if is_ours || level == LevelFilter::TRACE {
                    level
                } else {
                    level.min(LevelFilter::WARN)
                };
                targets = targets.with_target(*module, level);
            }
        }
        targets
    }
}

/// The newest lines.
#[derive(Debug, Clone, Default)]
struct Ring {
    kept: Arc<Mutex<Kept>>,
    written: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
    last_sequence: u64,
}

impl Kept {
    fn push(&mut self, level: LogLevel, area: &str, text: String) {
        if self.lines.len() >= RING_LINES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.text.len());
        }
        self.last_sequence += 1;
        self.bytes += text.len();
        self.lines.push_back(LogLine {
            sequence: self.last_sequence,
            at_unix_ms: unix_millis(),
            level,
            area: area.to_owned(),
            text,
        });
    }

    fn read(&self, query: &LogQuery) -> LogLines {
        let limit = usize::try_from(query.limit.clamp(1, MAX_LOG_LINES)).unwrap_or(1);
        let needle = query.contains.as_ref().map(|text| text.to_lowercase());
        let matches = |line: &&LogLine| {
            query.minimum_level.is_none_or(|level| line.level <= level)
                && query.area.as_ref().is_none_or(|area| *area == line.area)
                && needle.as_ref().is_none_or(|text| line.text.to_lowercase().contains(text))
        };
        let Some(after) = query.after_sequence else {
            let mut lines: Vec<_> =
                self.lines.iter().rev().filter(matches).take(limit).cloned().collect();
            lines.reverse();
            let next_after_sequence = self.last_sequence;
            return LogLines { lines, next_after_sequence, more: false, lost_lines: 0 };
        };
        let first_kept = self.lines.front().map_or(self.last_sequence + 1, |line| line.sequence);
        let lines: Vec<_> = self
            .lines
            .iter()
            .filter(|line| line.sequence > after)
            .filter(matches)
            .take(limit)
            .cloned()
            .collect();
        let looked_at = match lines.last() {
            Some(last) if lines.len() == limit => last.sequence,
            _ => self.last_sequence.max(after),
        };
        LogLines {
            lines,
            next_after_sequence: looked_at,
            more: looked_at < self.last_sequence,
            lost_lines: first_kept.saturating_sub(after.saturating_add(1)),
        }
    }
}

impl<S: Subscriber> Layer<S> for Ring {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut line = text.message;
        line.push_str(&text.fields);
        if line.len() > LINE_BYTES {
            let mut end = LINE_BYTES;
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            line.truncate(end);
        }
        let metadata = event.metadata();
        lock(&self.kept).push(from_tracing(*metadata.level()), area_of(metadata.target()), line);
        self.written.notify_waiters();
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

fn area_of(target: &str) -> &'static str {
    AREAS
        .iter()
        .flat_map(|(area, modules)| modules.iter().map(move |module| (*area, *module)))
        .filter(|(_, module)| {
            target
                .strip_prefix(module)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
        .max_by_key(|(_, module)| module.len())
        .map_or("system", |(area, _)| area)
}

const fn from_tracing(level: tracing::Level) -> LogLevel {
    match level {
        tracing::Level::ERROR => LogLevel::Error,
        tracing::Level::WARN => LogLevel::Warn,
        tracing::Level::INFO => LogLevel::Info,
        tracing::Level::DEBUG => LogLevel::Debug,
        tracing::Level::TRACE => LogLevel::Trace,
    }
}

const fn to_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Standard error behind a thread of its own, so that a reader who stalls stalls nothing else.
#[derive(Debug, Clone)]
struct StderrQueue {
    queue: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    Flush(SyncSender<()>),
}

impl io::Write for StderrQueue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.queue.try_send(Line::Text(bytes.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(lines: &Receiver<Line>) {
    let mut stderr = io::stderr();
    for line in lines {
        match line {
            Line::Text(bytes) => {
                let _ = stderr.write_all(&bytes);
            }
            Line::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
