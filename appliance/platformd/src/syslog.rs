//! Sends the journal to a syslog server: RFC 5424 messages, RFC 5425 framing over TLS. Where it
//! was interrupted it goes on, over restarts too: the journal is the queue.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use admin_api::platform::answer::Syslog as Shown;
use admin_api::platform::settings::SyslogSettings;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::file;
use crate::journal::{Entry, JOURNALCTL, Output};

/// How long connecting, and writing one message, may take.
const WITHIN: Duration = Duration::from_secs(20);
/// Pause before the next attempt.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// After so many messages the place in the journal is written down.
const NOTE_EVERY: u64 = 100;

/// What can be said of the forwarding.
#[derive(Debug, Default, Clone)]
pub(crate) struct Forwarding(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_connected: bool,
    sent: u64,
    fault: Option<String>,
}

impl Forwarding {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For the administrator.
    pub(crate) fn show(&self, settings: &SyslogSettings) -> Shown {
        let trusted = trust::certificates(&settings.trust_pem)
            .map_or(0, |found| u64::try_from(found.len()).unwrap_or(u64::MAX));
        self.with(|state| Shown {
            host: settings.host.clone(),
            port: settings.port,
            trusted_authorities: trusted,
            is_connected: state.is_connected,
            sent: state.sent,
            fault: state.fault.clone(),
        })
    }
}

/// Why forwarding stopped for now.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("the certificates of the authorities cannot be used")]
    Trust,
    #[error("no connection: {0}")]
    Connect(#[source] std::io::Error),
    #[error("the server took too long")]
    TooSlow,
    #[error("the connection ended: {0}")]
    Broken(#[source] std::io::Error),
    #[error("{0}")]
    Journal(String),
}

/// Forwards for ever, as the settings of the moment say.
pub(crate) async fn run(
    mut settings: watch::Receiver<Option<SyslogSettings>>,
    forwarding: Forwarding,
    state_dir: PathBuf,
) {
    let cursor = state_dir.join("syslog.cursor");
    loop {
        let wanted = settings.borrow_and_update().clone();
        let Some(wanted) = wanted else {
            forwarding.with(|state| *state = State::default());
            if settings.changed().await.is_err() {
                return;
            }
            continue;
        };
        let fault = tokio::select! {
            changed = settings.changed() => {
                if changed.is_err() { return }
                continue;
            }
            ended = forward(&wanted, &forwarding, &cursor) => match ended {
                Ok(()) => "the journal ended".to_owned(),
                Err(stopped) => stopped.to_string(),
            },
        };
        tracing::warn!(server = wanted.host, fault, "logs are not sent");
        forwarding.with(|state| {
            state.is_connected = false;
            state.fault = Some(fault);
        });
        tokio::select! {
            () = tokio::time::sleep(RETRY_AFTER) => {}
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
}

async fn forward(
    settings: &SyslogSettings,
    forwarding: &Forwarding,
    cursor: &Path,
) -> Result<(), Stopped> {
    let mut stream = connect(settings).await?;
    forwarding.with(|state| {
        state.is_connected = true;
        state.fault = None;
    });
    let host_name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host_name = host_name.unwrap_or_else(|| "-".to_owned());
    let mut command = Command::new(JOURNALCTL);
    command.args(["-o", "json", "--no-pager", "-q", "--all", "--follow"]);
    command.arg("--output-fields=PRIORITY,SYSLOG_IDENTIFIER,_COMM,_PID,MESSAGE");
    match std::fs::read_to_string(cursor) {
        Ok(place) => drop(command.args(["--no-tail", &format!("--after-cursor={}", place.trim())])),
        Err(_) => drop(command.args(["-n", "100"])),
    }
    let mut entries = Output::start(command).map_err(|refusal| Stopped::Journal(refusal.what))?;
    let mut unnoted = 0;
    loop {
        let entry = match timeout(RETRY_AFTER, entries.next()).await {
            // Quiet: what was sent is noted now.
            Err(_) => {
                unnoted = 0;
                continue;
            }
            Ok(entry) => entry.map_err(|refusal| Stopped::Journal(refusal.what))?,
        };
        let Some(entry) = entry else { return Ok(()) };
        let message = message(&entry, &host_name);
        timeout(WITHIN, send(&mut stream, &message))
            .await
            .map_err(|_| Stopped::TooSlow)?
            .map_err(Stopped::Broken)?;
        forwarding.with(|state| state.sent += 1);
        if unnoted == 0 {
            let noted = file::replace(cursor, entry.cursor.as_bytes(), 0o600);
            if let Err(failure) = noted {
                tracing::debug!(%failure, "the place in the journal is not noted");
            }
        }
        unnoted = (unnoted + 1) % NOTE_EVERY;
    }
}

async fn connect(settings: &SyslogSettings) -> Result<TlsStream<TcpStream>, Stopped> {
    let given = trust::certificates(&settings.trust_pem).ok_or(Stopped::Trust)?;
    let config = trust::client(given, Vec::new()).ok_or(Stopped::Trust)?;
    let name = ServerName::try_from(settings.host.clone()).map_err(|_| Stopped::Trust)?;
    let connecting = async {
        let stream = TcpStream::connect((settings.host.as_str(), settings.port)).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    timeout(WITHIN, connecting).await.map_err(|_| Stopped::TooSlow)?.map_err(Stopped::Connect)
}

async fn send(stream: &mut TlsStream<TcpStream>, message: &str) -> std::io::Result<()> {
    // RFC 5425 §4.3: the length in octets, a space, the message.
    let frame = format!("{} {message}", message.len());
    stream.write_all(frame.as_bytes()).await?;
    stream.flush().await
}

/// The message of an entry (RFC 5424 §6). The facility is "daemon", 3; "kern", 0, for the kernel.
fn message(entry: &Entry, host_name: &str) -> String {
    let severity = entry.priority.as_deref().and_then(|p| p.parse::<u8>().ok()).unwrap_or(6).min(7);
    let facility: u8 = if entry.writer() == "kernel" { 0 } else { 3 };
    let at = i64::try_from(entry.at_unix_us())
        .ok()
        .and_then(|us| Timestamp::from_microsecond(us).ok())
        .unwrap_or_default();
    let name = |text: &str, most: usize| {
        let text: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
        if text.is_empty() { "-".to_owned() } else { text }
    };
    format!(
        "<{}>1 {} {} {} {} - - \u{feff}{}",
        facility * 8 + severity,
        at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        name(host_name, 255),
        name(entry.writer(), 48),
        name(entry.pid.as_deref().unwrap_or_default(), 128),
        entry.text(),
    )
}

#[cfg(test)]
mod tests {
    use super::message;
    use crate::journal::Entry;

    #[test]
    fn messages_are_those_of_rfc_5424() {
        let line = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1700000000123456","PRIORITY":"4",
            "SYSLOG_IDENTIFIER":"presence d","_PID":"12","MESSAGE":"a\nb"}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!(
            message(&entry, "lamp"),
            "<28>1 2023-11-14T22:13:20.123456Z lamp presenced 12 - - \u{feff}a b"
        );
        let line = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"x","SYSLOG_IDENTIFIER":"kernel"}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!(message(&entry, ""), "<6>1 1970-01-01T00:00:00.000000Z - kernel - - - \u{feff}");
    }
}
