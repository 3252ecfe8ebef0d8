//! SSH into a machine, with a key or a password, as an administrator does it.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
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

/// A command of OpenSSH's with everything but how to sign in, the machine and the words after it.
fn anyone(program: &str, port: u16) -> Command {
    let mut command = Command::new(installed(program, "openssh-client"));
    let port_option = if program == "ssh" { "-p" } else { "-P" };
    command
        .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "-F", "none"])
        .arg(port_option)
        .arg(port.to_string())
        .stdin(Stdio::null());
    command
}

/// The same by key.
fn client(program: &str, key: &Path, port: u16) -> Command {
    let mut command = anyone(program, port);
    command.args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]).arg(key);
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

    /// The same with something on its standard input.
    #[track_caller]
    pub fn ssh_input(&self, key: &Key, line: &str, input: &[u8]) -> Told {
        let mut command = client("ssh", &key.path(), self.ports.ssh);
        command.args(["admin@127.0.0.1", line]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("ssh");
        // Whoever is refused reads nothing.
        let _ = child.stdin.take().expect("an input").write_all(input);
        child.wait_with_output().expect("ssh").into()
    }

    /// What a command of the CLI writes, octet for octet.
    #[track_caller]
    pub fn ssh_octets(&self, key: &Key, line: &str) -> Vec<u8> {
        let mut command = client("ssh", &key.path(), self.ports.ssh);
        let output = command.args(["admin@127.0.0.1", line]).output().expect("ssh");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Signs in by password, and runs a command.
    #[track_caller]
    pub fn ssh_by_password(&self, password: &str, line: &str) -> Told {
        let dir = tempfile::tempdir().expect("a directory");
        // Asked for it, `ssh` runs a program that says it.
        let teller = dir.path().join("teller");
        std::fs::write(&teller, "#!/bin/sh\nprintf '%s\\n' \"$LAMPLIGHT_PASSWORD\"\n")
            .expect("a file");
        std::fs::set_permissions(&teller, Permissions::from_mode(0o700)).expect("a file");
        let mut command = anyone("ssh", self.ports.ssh);
        command
            .args(["-o", "PubkeyAuthentication=no"])
            .args(["-o", "NumberOfPasswordPrompts=1", "admin@127.0.0.1", line])
            .env("SSH_ASKPASS", &teller)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("LAMPLIGHT_PASSWORD", password);
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
