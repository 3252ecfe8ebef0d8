//! A pseudo-terminal with the program on it.

use std::process::Command;

use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};

use crate::server::{Server, WITHIN};

pub(crate) const PROMPT: &str = "admin: ";
pub(crate) const MORE: &str = "Press <enter> for 1 line, <space> for one page, or <q> to quit";
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const UP: &str = "\x1b[A";

/// A terminal with the program on it.
pub(crate) struct Terminal(OsSession);

impl Terminal {
    /// The shell on an ordinary terminal of 80 columns and 24 rows, at its first prompt.
    pub(crate) fn shell(server: &Server) -> Self {
        let mut terminal = Self::start(server, "");
        terminal.expect(PROMPT);
        terminal
    }

    pub(crate) fn start(server: &Server, arguments: &str) -> Self {
        let socket = server.socket.display();
        Self::run_on(
            "xterm",
            &format!("--socket {socket} --platform-socket {socket}.none {arguments}"),
        )
    }

    /// The program on a terminal of this kind.
    pub(crate) fn run_on(kind: &str, arguments: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_appliance");
        let mut command = Command::new("sh");
        command
            .env("TERM", kind)
            .arg("-c")
            .arg(format!("stty sane cols 80 rows 24; exec {program} {arguments}"));
        let mut session = Session::spawn(command).unwrap();
        session.set_expect_timeout(Some(WITHIN));
        Self(session)
    }

    /// Waits for a text, and returns all that came before it.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        match self.0.expect(text) {
            Ok(found) => String::from_utf8_lossy(found.before()).into_owned(),
            Err(error) => panic!("{text:?} did not come: {error}"),
        }
    }

    pub(crate) fn send(&mut self, keys: &str) {
        self.0.send(keys).unwrap();
    }

    /// Runs a line, and returns all that is shown up to the next prompt.
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.send(line);
        self.send("\r");
        // What the editor draws while the line is typed holds the prompt, too.
        self.expect("\n");
        self.expect(PROMPT)
    }

    /// Waits for the end, however it went.
    pub(crate) fn expect_end(&mut self) {
        self.0.expect(Eof).unwrap();
    }

    pub(crate) fn ends(mut self) {
        self.0.expect(Eof).unwrap();
        let status = self.0.get_process().wait().unwrap();
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    }
}
