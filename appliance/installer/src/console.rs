//! The terminals of the machine, all at once: what is said is said on each, and whoever answers
//! first is heard.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// The terminals there may be.
const TERMINALS: [&str; 2] = ["/dev/tty1", "/dev/ttyS0"];
/// Lines that wait to be read.
const MOST_LINES: usize = 16;

/// Every terminal.
#[derive(Debug)]
pub(crate) struct Console {
    terminals: Vec<File>,
    lines: Receiver<String>,
}

impl Console {
    /// Opens them.
    pub(crate) fn open() -> Self {
        let (sender, lines) = sync_channel(MOST_LINES);
        let mut terminals = Vec::new();
        for path in TERMINALS {
            let Ok(terminal) = OpenOptions::new().read(true).write(true).open(path) else {
                continue;
            };
            if let Ok(input) = terminal.try_clone() {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for line in BufReader::new(input).lines().map_while(Result::ok) {
                        if sender.send(line).is_err() {
                            return;
                        }
                    }
                });
            }
            terminals.push(terminal);
        }
        Self { terminals, lines }
    }

    /// Says something; a terminal that does not take it is not there.
    pub(crate) fn say(&mut self, text: &str) {
        for terminal in &mut self.terminals {
            let _ = terminal.write_all(text.as_bytes());
        }
    }

    /// Asks, until somebody answers.
    pub(crate) fn ask(&mut self, question: &str) -> String {
        // What was typed before it was asked is no answer.
        while self.lines.try_recv().is_ok() {}
        self.say(question);
        loop {
            match self.lines.recv() {
                Ok(line) => return line.trim().to_owned(),
                // No terminal can answer: somebody may attach one and start again.
                Err(_) => std::thread::sleep(Duration::from_secs(3_600)),
            }
        }
    }
}
