//! SSH into a machine, with a key or a password, as an administrator does it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Machine, run};
use crate::node::Told;
use crate::program::installed;

/// A key of an administrator.
#[derive(Debug)]
pub struct Key {
    dir: tempfile::TempDir,
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl Key {
    /// Makes one.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        run(Command::new(installed("ssh-keygen", "openssh-client"))
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "anna@example.test", "-f"])
            .arg(path));
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    /// The public half, on one line.
    #[track_caller]
    pub fn public(&self) -> String {
        let text = std::fs::read_to_string(self.path().with_extension("pub")).expect("a key");
        text.trim().to_owned()
    }
}

/// A command of OpenSSH's with everything but the machine and the words after it.
fn client(program: &str, key: &Path, port: u16) -> Command {
    let mut command = Command::new(installed(program, "openssh-client"));
    let port_option = if program == "ssh" { "-p" } else { "-P" };
    command
        .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60"])
        .args(["-o", "IdentitiesOnly=yes", "-F", "none", "-i"])
        .arg(key)
        .arg(port_option)
        .arg(port.to_string())
        .stdin(Stdio::null());
    command
}

impl Machine {
    /// Runs a command of the CLI over SSH.
    #[track_caller]
    pub fn ssh(&self, key: &Key, line: &str) -> Told {
        self.ssh_with(key, &[], line)
    }

    /// The same with options for `ssh`.
    #[track_caller]
    pub fn ssh_with(&self, key: &Key, options: &[&str], line: &str) -> Told {
        let mut command = client("ssh", &key.path(), self.ports.ssh);
        command.args(options).arg("admin@127.0.0.1");
        // `ssh` would take a hyphen there for an option of its own.
        if line.starts_with('-') {
            command.arg(format!(" {line}"));
        } else if !line.is_empty() {
            command.arg(line);
        }
        command.output().expect("ssh").into()
    }

    /// A session at the prompt, still to be started.
    pub fn ssh_session(&self, key: &Key) -> Command {
        let mut command = client("ssh", &key.path(), self.ports.ssh);
        command.args(["-t", "admin@127.0.0.1"]);
        command
    }

    /// Runs `sftp` or `scp` against the machine.
    #[track_caller]
    pub fn copy(&self, program: &str, key: &Key, words: &[&str]) -> Told {
        client(program, &key.path(), self.ports.ssh).args(words).output().expect(program).into()
    }
}
