//! Other people's programs under test control: their output is kept, they are ended by their id.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use crate::wire::PATIENCE;

/// Lines that a process wrote, and whether it has closed its output.
#[derive(Debug, Default)]
pub struct Lines {
    kept: Mutex<(Vec<String>, usize)>,
    changed: Condvar,
}

impl Lines {
    /// Keeps every line of `source`, on a thread of its own.
    pub fn follow(self: &Arc<Self>, source: impl Read + Send + 'static) {
        let lines = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).into_owned();
                lines.kept.lock().expect("not poisoned").0.push(text);
                lines.changed.notify_all();
            }
            lines.kept.lock().expect("not poisoned").1 += 1;
            lines.changed.notify_all();
        });
    }

    /// Waits for a line that fits; `None` when both outputs end or patience does.
    pub fn wait<T>(&self, fits: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut kept = self.kept.lock().expect("not poisoned");
        loop {
            if let Some(found) = kept.0.iter().find_map(|l| fits(l)) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || kept.1 == 2 {
                return None;
            }
            kept = self.changed.wait_timeout(kept, left).expect("not poisoned").0;
        }
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        self.kept.lock().expect("not poisoned").0.join("\n")
    }
}

/// The path of an installed program.
///
/// # Panics
/// With the name of its Debian package when it is absent: nothing is skipped in silence.
#[track_caller]
pub fn installed(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|dir| dir.join(name));
    let found = places.into_iter().find(|p| p.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed, and this test needs it: apt-get install {package}")
    })
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    lines: Arc<Lines>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- {} wrote:\n{}", self.name, self.lines.text());
        }
    }
}

impl Program {
    /// Starts a program with its output kept.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let name = OsStr::to_string_lossy(command.get_program()).into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {name}: {e}"));
        let lines = Arc::new(Lines::default());
        lines.follow(child.stdout.take().expect("piped"));
        lines.follow(child.stderr.take().expect("piped"));
        Self { name, child, lines }
    }

    /// Waits for a line of output that contains the text.
    #[track_caller]
    pub fn expect(&self, text: &str) -> String {
        let found = self.lines.wait(|l| l.contains(text).then(|| l.to_owned()));
        found.unwrap_or_else(|| panic!("{} never wrote {text:?}:\n{}", self.name, self.text()))
    }

    /// All that it wrote.
    pub fn text(&self) -> String {
        self.lines.text()
    }

    /// Types a line.
    #[track_caller]
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(format!("{line}\n").as_bytes()).expect("type");
        input.flush().expect("type");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE * 2;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            let text = || self.lines.text();
            assert!(Instant::now() < deadline, "{} does not end:\n{}", self.name, text());
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }
}

/// A port that is free now, for programs that cannot say which one they took; below the range
/// from which the kernel gives ports to those who ask for any.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let count = COUNT.fetch_add(997, Ordering::Relaxed);
    let start = now.map_or(0, |d| d.subsec_micros()) % 10_000 + std::process::id() % 10_000 + count;
    let is_free = |port: &u16| {
        let address = ("127.0.0.1", *port);
        std::net::UdpSocket::bind(address).is_ok() && std::net::TcpListener::bind(address).is_ok()
    };
    let ports = (0..10_000).filter_map(|i| u16::try_from(10_000 + (start + i) % 10_000).ok());
    ports.into_iter().find(is_free).expect("a free port")
}
