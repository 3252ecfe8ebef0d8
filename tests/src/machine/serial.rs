//! A machine's console on its serial line: what it prints, and what is typed.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Text that means that the machine will not come to what is waited for.
const FATAL: [&str; 2] = ["Kernel panic", "Press any key"];

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

#[derive(Debug, Default)]
struct Printed {
    text: String,
    is_over: bool,
}

/// The console.
#[derive(Debug)]
pub struct Serial {
    printed: Arc<(Mutex<Printed>, Condvar)>,
    stream: UnixStream,
    /// Whether what arrives is shown on standard output too.
    is_shown: Arc<AtomicBool>,
    /// What was waited for lies before this.
    seen: Mutex<usize>,
}

impl Serial {
    /// Connects once QEMU is there; none when it ended instead.
    pub fn connect(path: &Path, child: &mut Child) -> Option<Self> {
        let stream = loop {
            if let Ok(stream) = UnixStream::connect(path) {
                break stream;
            }
            if child.try_wait().expect("a child").is_some() {
                return None;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        };
        let printed = Arc::new((Mutex::new(Printed::default()), Condvar::new()));
        let mut reader = stream.try_clone().expect("a socket");
        let into = Arc::clone(&printed);
        let is_shown = Arc::new(AtomicBool::new(false));
        let shown = Arc::clone(&is_shown);
        std::thread::spawn(move || {
            let mut chunk = [0; 4_096];
            let mut screen = Screen::default();
            loop {
                let count = reader.read(&mut chunk).unwrap_or(0);
                if shown.load(Ordering::Relaxed) {
                    screen.show(&chunk[..count]);
                }
                let mut printed = into.0.lock().unwrap_or_else(PoisonError::into_inner);
                printed.is_over |= count == 0;
                let text = String::from_utf8_lossy(&chunk[..count]);
                printed.text.extend(text.chars().filter(|c| *c == '\n' || !c.is_control()));
                into.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Some(Self { printed, stream, is_shown, seen: Mutex::new(0) })
    }

    /// Shows on standard output what is printed from now on.
    pub fn show(&self) {
        self.is_shown.store(true, Ordering::Relaxed);
    }

    /// Ends [`Serial::show`].
    pub fn hide(&self) {
        self.is_shown.store(false, Ordering::Relaxed);
    }

    /// Waits for a text behind what was waited for before; what stands between.
    #[track_caller]
    pub fn expect(&self, text: &str, within: Duration) -> String {
        match self.wait(text, within, true) {
            Ok(between) => between,
            Err(why) => panic!("{text:?} was not printed: {why}\n{}", self.tail(3_000)),
        }
    }

    /// The same where a panic of the kernel is what may come before.
    #[track_caller]
    pub fn expect_through_panic(&self, text: &str, within: Duration) -> String {
        match self.wait(text, within, false) {
            Ok(between) => between,
            Err(why) => panic!("{text:?} was not printed: {why}\n{}", self.tail(3_000)),
        }
    }

    /// Waits until nothing has been printed for a while, and passes what was.
    pub fn settle(&self, quiet: Duration) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (lock, changed) = &*self.printed;
        let mut printed = lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let length = printed.text.len();
            let waited =
                changed.wait_timeout(printed, quiet).unwrap_or_else(PoisonError::into_inner);
            printed = waited.0;
            if printed.is_over || (waited.1.timed_out() && printed.text.len() == length) {
                *seen = printed.text.len();
                return;
            }
        }
    }

    /// Whether a text stands behind what was waited for before, which is then passed.
    pub fn has_printed(&self, text: &str) -> bool {
        self.wait(text, Duration::ZERO, false).is_ok()
    }

    fn wait(&self, text: &str, within: Duration, is_fatal: bool) -> Result<String, String> {
        let deadline = Instant::now() + within;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (lock, changed) = &*self.printed;
        let mut printed = lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let rest = &printed.text[*seen..];
            if let Some(at) = rest.find(text) {
                let between = rest[..at].to_owned();
                *seen += at + text.len();
                return Ok(between);
            }
            if let Some(fatal) = FATAL.iter().find(|fatal| is_fatal && rest.contains(*fatal)) {
                return Err(format!("{fatal:?} was"));
            }
            if printed.is_over {
                return Err("the machine ended".to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("not within {within:?}"));
            }
            printed = changed.wait_timeout(printed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the `admin:` prompt with nothing typed behind it.
    #[track_caller]
    pub fn expect_prompt(&self, within: Duration) -> String {
        // Where the line editor puts the cursor; the escape itself is not kept.
        self.expect("admin: [7C", within)
    }

    /// Types something, a little slower than a person in a hurry.
    #[track_caller]
    pub fn type_in(&self, text: &str) {
        for byte in text.bytes() {
            (&self.stream).write_all(&[byte]).expect("the console");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Types a line.
    #[track_caller]
    pub fn enter(&self, line: &str) {
        self.type_in(line);
        self.type_in("\r");
    }

    /// Everything printed.
    pub fn text(&self) -> String {
        self.printed.0.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// The end of what was printed.
    pub fn tail(&self, characters: usize) -> String {
        let text = self.text();
        let from = text.char_indices().rev().nth(characters).map_or(0, |(at, _)| at);
        text[from..].to_owned()
    }
}

/// Our own terminal as the machine's: it is not asked what it is, nor where its cursor stands, as
/// its answers would be taken for what somebody types.
#[derive(Debug, Default)]
struct Screen {
    /// An escape sequence that has begun.
    sequence: Vec<u8>,
}

impl Screen {
    fn show(&mut self, bytes: &[u8]) {
        let mut shown = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.sequence.is_empty() && *byte != ESCAPE {
                shown.push(*byte);
                continue;
            }
            self.sequence.push(*byte);
            let is_whole = match *self.sequence {
                [ESCAPE] | [ESCAPE, b'[' | b']'] => false,
                [ESCAPE, b'[', .., last] => (b'@'..=b'~').contains(&last),
                [ESCAPE, b']', .., last] => last == BELL || last == b'\\',
                _ => true,
            };
            if is_whole {
                // Colours, and what a line that is edited needs.
                if let [ESCAPE, b'[', .., b'm' | b'K' | b'C' | b'D' | b'A'] = *self.sequence {
                    shown.extend_from_slice(&self.sequence);
                }
                self.sequence.clear();
            }
        }
        // That nobody looks is no reason to stop.
        let mut screen = std::io::stdout();
        let _ = screen.write_all(&shown).and_then(|()| screen.flush());
    }
}
