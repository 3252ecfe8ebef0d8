//! Network tools that run for an administrator: as programs with checked arguments, their output
//! kept in bounds, ended when nobody reads it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use admin_api::platform::request::MAX_TOOL_WAIT_MS;
use admin_api::platform::tool::{Tool, ToolOutput};
use admin_api::refusal::{Refusal, RefusalCode};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::files;
use crate::settings::is_host;

/// Tools at one time.
const AT_ONCE: usize = 4;
/// Lines and bytes of a line that are kept.
const MAX_LINES: usize = 5_000;
const MAX_LINE_BYTES: usize = 1_024;
/// A tool that nobody has asked for so long is ended.
const UNREAD_FOR: Duration = Duration::from_secs(60);
/// The longest that a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a packet that are captured; the largest SIP message over UDP fits.
const SNAP_BYTES: &str = "65535";

/// Tools that run, or whose end nobody has read yet.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    next: u64,
    running: BTreeMap<u64, Arc<Running>>,
}

#[derive(Debug, Default)]
struct Running {
    progress: Mutex<Progress>,
    changed: Notify,
    stop: Notify,
}

#[derive(Debug)]
struct Progress {
    lines: Vec<String>,
    has_succeeded: Option<bool>,
    read_at: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self { lines: Vec::new(), has_succeeded: None, read_at: Instant::now() }
    }
}

impl Running {
    fn with<T>(&self, look: impl FnOnce(&mut Progress) -> T) -> T {
        look(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn say(&self, line: &str) {
        self.with(|progress| {
            if progress.lines.len() == MAX_LINES {
                progress.lines.push("… the rest is not shown".to_owned());
            } else if progress.lines.len() < MAX_LINES {
                let mut line: String =
                    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                line.truncate(line.floor_char_boundary(MAX_LINE_BYTES));
                progress.lines.push(line);
            }
        });
        self.changed.notify_waiters();
    }

    fn end(&self, has_succeeded: bool) {
        self.with(|progress| progress.has_succeeded = Some(has_succeeded));
        self.changed.notify_waiters();
    }

    fn output(&self, tool: u64, after_line: u64) -> ToolOutput {
        self.with(|progress| {
            progress.read_at = Instant::now();
            let after = usize::try_from(after_line).unwrap_or(usize::MAX);
            ToolOutput {
                tool,
                lines: progress.lines.get(after..).unwrap_or_default().to_vec(),
                next_after_line: u64::try_from(progress.lines.len()).unwrap_or(u64::MAX),
                has_succeeded: progress.has_succeeded,
            }
        })
    }
}

/// What a tool comes to.
#[derive(Debug)]
enum Work {
    Program { path: &'static str, arguments: Vec<String> },
    Connect { host: String, port: u16 },
    Resolve { host: String },
}

impl Tools {
    /// Starts a tool.
    ///
    /// # Errors
    /// A value cannot be, or too many tools run.
    pub(crate) fn start(&mut self, tool: &Tool, capture_dir: &Path) -> Result<ToolOutput, Refusal> {
        let work = work(tool, capture_dir)?;
        self.running.retain(|_, running| {
            running.with(|p| p.has_succeeded.is_none() || p.read_at.elapsed() < UNREAD_FOR)
        });
        let is_running =
            |running: &&Arc<Running>| running.with(|progress| progress.has_succeeded.is_none());
        if self.running.values().filter(is_running).count() >= AT_ONCE {
            return Err(Refusal::new(
                RefusalCode::Busy,
                format!("{AT_ONCE} network tools run already"),
                "utils network",
                "wait for one to end, or stop it with Ctrl-C",
            ));
        }
        self.next += 1;
        let running = Arc::new(Running::default());
        self.running.insert(self.next, Arc::clone(&running));
        let output = running.output(self.next, 0);
        tokio::spawn(async move { run(work, &running).await });
        Ok(output)
    }

    fn find(&self, tool: u64) -> Result<Arc<Running>, Refusal> {
        self.running.get(&tool).cloned().ok_or_else(|| {
            Refusal::new(
                RefusalCode::NotFound,
                "this network tool has ended, and its output is gone",
                "utils network",
                "start it again",
            )
        })
    }

    /// A way to wait for what a tool prints, without holding on to the others.
    ///
    /// # Errors
    /// There is no such tool.
    pub(crate) fn reader(&self, tool: u64) -> Result<Reader, Refusal> {
        Ok(Reader { tool, running: self.find(tool)? })
    }

    /// Ends a tool.
    ///
    /// # Errors
    /// There is no such tool.
    pub(crate) fn stop(&self, tool: u64) -> Result<Reader, Refusal> {
        let reader = self.reader(tool)?;
        reader.running.stop.notify_one();
        Ok(reader)
    }
}

/// Reads what one tool prints.
#[derive(Debug)]
pub(crate) struct Reader {
    tool: u64,
    running: Arc<Running>,
}

impl Reader {
    /// Lines after those read already; waits for one, or for the end.
    pub(crate) async fn read(self, after_line: u64, wait_ms: u64) -> ToolOutput {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(MAX_TOOL_WAIT_MS));
        loop {
            let changed = self.running.changed.notified();
            let output = self.running.output(self.tool, after_line);
            let left = until.saturating_duration_since(Instant::now());
            if !output.lines.is_empty() || output.has_succeeded.is_some() || left.is_zero() {
                return output;
            }
            let _ = timeout(left, changed).await;
        }
    }
}

fn refuse(what: String, place: &str, next: &str) -> Refusal {
    Refusal::new(RefusalCode::InvalidValue, what, place, next)
}

fn host(text: &str) -> Result<String, Refusal> {
    if is_host(text) {
        return Ok(text.to_owned());
    }
    Err(refuse(format!("{text:?} is no name and no address"), "HOST", "give one of either"))
}

fn number<N>(value: N, least: N, most: N, place: &str) -> Result<String, Refusal>
where
    N: PartialOrd + std::fmt::Display,
{
    if value < least || value > most {
        let what = format!("{value} is not from {least} to {most}");
        return Err(refuse(what, place, "give a number in between"));
    }
    Ok(value.to_string())
}

/// The program and its arguments. No text of the asker's is an option: a name or address cannot
/// begin with a hyphen, everything else is a number or ours.
fn work(tool: &Tool, capture_dir: &Path) -> Result<Work, Refusal> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Ok(match tool {
        Tool::Ping { host: to, count, size_bytes } => {
            let mut arguments = words(&["-n", "-O", "-W", "2", "-c"]);
            arguments.push(number(*count, 1, 100, "count")?);
            arguments.extend(words(&["-s"]));
            arguments.push(number(*size_bytes, 0, 9_000, "size")?);
            arguments.push(host(to)?);
            Work::Program { path: "/usr/bin/ping", arguments }
        }
        Tool::Traceroute { host: to } => {
            let mut arguments = words(&["-n", "-w", "2", "-q", "1"]);
            arguments.push(host(to)?);
            Work::Program { path: "/usr/bin/traceroute.db", arguments }
        }
        Tool::Resolve { host: name } => Work::Resolve { host: host(name)? },
        Tool::Connect { host: to, port } => {
            number(*port, 1, u16::MAX, "port")?;
            Work::Connect { host: host(to)?, port: *port }
        }
        Tool::Capture { file, count, host: only_host, port } => {
            let path = files::new_capture(capture_dir, file)?;
            let mut arguments = words(&["-n", "-U", "-i", "any", "-s", SNAP_BYTES, "-Z", "root"]);
            arguments.push("-c".to_owned());
            arguments.push(number(*count, 1, 100_000, "count")?);
            arguments.push("-w".to_owned());
            arguments.push(path.display().to_string());
            let mut filter = Vec::new();
            if let Some(address) = only_host {
                filter.push(format!("host {address}"));
            }
            if let Some(port) = port {
                filter.push(format!("port {}", number(*port, 1, u16::MAX, "port")?));
            }
            if !filter.is_empty() {
                arguments.push(filter.join(" and "));
            }
            Work::Program { path: "/usr/bin/tcpdump", arguments }
        }
    })
}

async fn run(work: Work, running: &Running) {
    let has_succeeded = match work {
        Work::Program { path, arguments } => run_program(path, &arguments, running).await,
        Work::Connect { host, port } => connect(&host, port, running).await,
        Work::Resolve { host } => resolve(&host, running).await,
    };
    running.end(has_succeeded);
}

async fn run_program(path: &str, arguments: &[String], running: &Running) -> bool {
    let spawned = Command::new(path)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            running.say(&format!("{path} cannot be run: {error}"));
            return false;
        }
    };
    let printed = child.stdout.take();
    let complained = child.stderr.take();
    let reading =
        async { tokio::join!(read_lines(printed, running), read_lines(complained, running)) };
    tokio::pin!(reading);
    let mut is_read = false;
    loop {
        tokio::select! {
            _ = &mut reading, if !is_read => is_read = true,
            ended = child.wait(), if is_read => return ended.is_ok_and(|status| status.success()),
            () = running.stop.notified() => break,
            () = tokio::time::sleep(UNREAD_FOR / 4) => {
                if running.with(|progress| progress.read_at.elapsed()) > UNREAD_FOR {
                    break;
                }
            }
        }
    }
    interrupt(&child);
    // A capture is complete once the program has ended by itself.
    if !is_read {
        let _ = timeout(CONNECT_WITHIN, &mut reading).await;
    }
    let _ = timeout(CONNECT_WITHIN, child.wait()).await;
    running.say("stopped");
    true
}

fn interrupt(child: &tokio::process::Child) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
    }
}

async fn read_lines(from: Option<impl AsyncRead + Unpin>, running: &Running) {
    let Some(from) = from else { return };
    let mut lines = BufReader::new(from).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        running.say(&String::from_utf8_lossy(&line));
    }
}

async fn connect(host: &str, port: u16, running: &Running) -> bool {
    let started = Instant::now();
    match timeout(CONNECT_WITHIN, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => {
            let peer = stream.peer_addr().map_or_else(|_| host.to_owned(), |peer| peer.to_string());
            running.say(&format!("connected to {peer} in {} ms", started.elapsed().as_millis()));
            true
        }
        Ok(Err(error)) => {
            running.say(&format!("no connection to {host} port {port}: {error}"));
            false
        }
        Err(_) => {
            let seconds = CONNECT_WITHIN.as_secs();
            running.say(&format!("no connection to {host} port {port} within {seconds} s"));
            false
        }
    }
}

async fn resolve(host: &str, running: &Running) -> bool {
    match timeout(CONNECT_WITHIN, tokio::net::lookup_host((host, 0))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
            addresses.dedup();
            for address in &addresses {
                running.say(&format!("{host} has address {address}"));
            }
            !addresses.is_empty()
        }
        Ok(Err(error)) => {
            running.say(&format!("{host} cannot be resolved: {error}"));
            false
        }
        Err(_) => {
            running.say("the name servers do not answer");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use admin_api::platform::tool::Tool;

    use super::{Tools, Work, work};

    #[test]
    fn nothing_that_is_asked_becomes_an_option() {
        let dir = tempfile::tempdir().unwrap();
        for host in ["-f", "--help", "a b", "a;b", "$(a)", "", "a\n", "../x"] {
            let ping = Tool::Ping { host: host.to_owned(), count: 1, size_bytes: 56 };
            assert!(work(&ping, dir.path()).is_err(), "{host:?}");
        }
        for file in ["../x", "/etc/x", "-x", ".x", "a b", ""] {
            let capture = Tool::Capture { file: file.to_owned(), count: 1, host: None, port: None };
            assert!(work(&capture, dir.path()).is_err(), "{file:?}");
        }
        let capture = Tool::Capture {
            file: "one".to_owned(),
            count: 10,
            host: Some("192.0.2.5".parse().unwrap()),
            port: Some(5060),
        };
        let Work::Program { arguments, .. } = work(&capture, dir.path()).unwrap() else {
            panic!("a capture is a program")
        };
        assert_eq!(arguments.last().unwrap(), "host 192.0.2.5 and port 5060");
        assert!(
            work(&Tool::Ping { host: "a".to_owned(), count: 0, size_bytes: 0 }, Path::new("/"))
                .is_err()
        );
    }

    #[tokio::test]
    async fn what_a_tool_finds_is_read_to_its_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tools = Tools::default();
        let tool = Tool::Connect { host: "127.0.0.1".to_owned(), port };
        let started = tools.start(&tool, Path::new("/nonexistent")).unwrap();
        let mut output = started.clone();
        while output.has_succeeded.is_none() {
            let reader = tools.reader(started.tool).unwrap();
            output = reader.read(0, 10_000).await;
        }
        assert_eq!(output.has_succeeded, Some(true));
        assert!(output.lines[0].starts_with("connected to 127.0.0.1"), "{:?}", output.lines);
        assert!(tools.reader(99).is_err());
    }
}
