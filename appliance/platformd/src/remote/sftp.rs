//! SFTP, by OpenSSH's own client: it is told what to do on its standard input, and asks this
//! program, called `askpass`, for the password.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{CONNECT_WITHIN, Remote};
use crate::config::Config;

const SFTP: &str = "/usr/bin/sftp";
const SSH_KEYGEN: &str = "/usr/bin/ssh-keygen";
/// The name under which OpenSSH calls this program for a password.
pub(crate) const ASKPASS: &str = "askpass";
const ASKPASS_PATH: &str = "/usr/lib/lamplight/askpass";
/// Where the password is for that: only root can look into the environment of these programs.
pub(crate) const PASSWORD: &str = "LAMPLIGHT_PASSWORD";

/// The key by which this machine signs in on others.
pub(crate) fn key(config: &Config) -> PathBuf {
    config.ssh_dir().join("client_key")
}

/// Keys of hosts as they were at the first contact.
fn known_hosts(config: &Config) -> PathBuf {
    config.ssh_dir().join("known_hosts")
}

/// The public key by which this machine signs in, which is made when there is none.
///
/// # Errors
/// In words for an administrator.
pub(crate) async fn public_key(config: &Config) -> Result<String, String> {
    let private = key(config);
    let public = private.with_extension("pub");
    if !public.exists() {
        let status = Command::new(SSH_KEYGEN)
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "lamplight", "-f"])
            .arg(&private)
            .env_clear()
            .stdin(Stdio::null())
            .status()
            .await;
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            return Err(format!("a key cannot be made: {status:?}"));
        }
    }
    let text = std::fs::read_to_string(&public).map_err(|error| error.to_string())?;
    Ok(text.trim().to_owned())
}

/// Forgets a host's key; whether there was one.
///
/// # Errors
/// In words for an administrator.
pub(crate) fn forget(config: &Config, host: &str) -> Result<bool, String> {
    let path = known_hosts(config);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let is_of_host = |line: &&str| {
        let names = line.split(' ').next().unwrap_or_default();
        names.split(',').any(|name| {
            let bare = name.strip_prefix('[').and_then(|name| name.split_once(']'));
            bare.map_or(name, |(name, _)| name) == host
        })
    };
    let kept: Vec<&str> = text.lines().filter(|line| !is_of_host(line)).collect();
    if kept.len() == text.lines().count() {
        return Ok(false);
    }
    let mut text = kept.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    crate::file::replace(&path, text.as_bytes(), 0o600)
        .map_err(|error| crate::platform::in_words(&error))?;
    Ok(true)
}

/// How long a file is.
///
/// # Errors
/// In words for an administrator.
pub(crate) async fn size(config: &Config, remote: &Remote) -> Result<u64, String> {
    let path = path(remote)?;
    let listed = run(config, remote, &format!("ls -ln \"{path}\"\n")).await?;
    listed
        .lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let mode = words.next()?;
            let size = words.nth(3)?.parse().ok()?;
            mode.starts_with('-').then_some(size)
        })
        .ok_or_else(|| format!("the server has no file {path}"))
}

/// Fetches a file, from where a former attempt has come to.
///
/// # Errors
/// In words for an administrator.
pub(crate) async fn get(config: &Config, remote: &Remote, to: &Path) -> Result<(), String> {
    let path = path(remote)?;
    run(config, remote, &format!("reget \"{path}\" \"{}\"\n", to.display())).await.map(drop)
}

/// Leaves a file: beside its name until it is whole.
///
/// # Errors
/// In words for an administrator.
pub(crate) async fn put(config: &Config, remote: &Remote, from: &Path) -> Result<(), String> {
    let path = path(remote)?;
    let commands = format!(
        "put \"{}\" \"{path}.part\"\n-rm \"{path}\"\nrename \"{path}.part\" \"{path}\"\n",
        from.display()
    );
    run(config, remote, &commands).await.map(drop)
}

/// Names of the files in a directory.
///
/// # Errors
/// In words for an administrator.
pub(crate) async fn list(config: &Config, remote: &Remote) -> Result<Vec<String>, String> {
    let path = path(remote)?;
    let listed = run(config, remote, &format!("cd \"{path}\"\nls -1\n")).await?;
    Ok(listed.lines().filter(|line| !line.starts_with("sftp>")).map(str::to_owned).collect())
}

/// Deletes a file.
///
/// # Errors
/// In words for an administrator.
pub(crate) async fn delete(config: &Config, remote: &Remote) -> Result<(), String> {
    let path = path(remote)?;
    run(config, remote, &format!("rm \"{path}\"\n")).await.map(drop)
}

/// The path on the other machine; it stands in a command, so that few characters are taken. One
/// that begins with `/~/` is relative to where the user arrives.
fn path(remote: &Remote) -> Result<String, String> {
    let path = remote.target.strip_prefix("/~/").unwrap_or(&remote.target);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+@=,:~-".contains(&byte);
    if path.is_empty() || path.starts_with('-') || !path.bytes().all(is_plain) {
        return Err(format!("the path {path:?} has characters that are not taken"));
    }
    Ok(path.to_owned())
}

/// Runs commands; what they print is the answer.
async fn run(config: &Config, remote: &Remote, commands: &str) -> Result<String, String> {
    public_key(config).await?;
    let mut command = Command::new(SFTP);
    command.env_clear().env("HOME", "/run/platformd");
    for option in [
        "BatchMode=no".to_owned(),
        "StrictHostKeyChecking=accept-new".to_owned(),
        format!("UserKnownHostsFile={}", known_hosts(config).display()),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "HashKnownHosts=no".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        format!("IdentityFile={}", key(config).display()),
        "IdentitiesOnly=yes".to_owned(),
        "NumberOfPasswordPrompts=1".to_owned(),
        format!("ConnectTimeout={}", CONNECT_WITHIN.as_secs()),
        "ServerAliveInterval=15".to_owned(),
        "ServerAliveCountMax=4".to_owned(),
        if remote.password.is_some() {
            "PreferredAuthentications=password,keyboard-interactive".to_owned()
        } else {
            "PreferredAuthentications=publickey".to_owned()
        },
    ] {
        command.arg("-o").arg(option);
    }
    if let Some(password) = &remote.password {
        command.env("SSH_ASKPASS", ASKPASS_PATH).env("SSH_ASKPASS_REQUIRE", "force");
        command.env(PASSWORD, password.expose());
    }
    let user = remote.user.as_deref().unwrap_or_default();
    command.args(["-F", "/dev/null", "-q", "-b", "-", "-P", &remote.port.to_string(), "--"]);
    command.arg(format!("{user}@{}", remote.bracketed_host()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("{SFTP} cannot be run: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // Where the connection fails nobody reads it; the exit status says so.
        let _ = input.write_all(commands.as_bytes()).await;
    }
    let done = child.wait_with_output().await.map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(reason(&remote.host, &String::from_utf8_lossy(&done.stderr)))
}

/// What went wrong, of what OpenSSH says.
fn reason(host: &str, said: &str) -> String {
    if said.contains("IDENTIFICATION HAS CHANGED") || said.contains("Host key verification failed")
    {
        return format!(
            "the host key of {host} is not the one of the first contact: somebody may stand in \
             between; if it was changed on purpose, \"unset ssh host {host}\" forgets the old one"
        );
    }
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or("the connection ended").trim_end_matches('.');
    if last.contains("Permission denied (") {
        return format!(
            "{host} does not let us sign in: {last}; \"show ssh client key\" is the key to allow"
        );
    }
    format!("{host}: {last}")
}

#[cfg(test)]
mod tests {
    use super::super::Remote;
    use super::{path, reason};

    #[test]
    fn a_path_that_is_a_command_is_not_taken() {
        let at = |target: &str| Remote::parse(&format!("sftp://a@h{target}"), None).unwrap();
        assert_eq!(path(&at("/backups/x.age")).unwrap(), "/backups/x.age");
        assert_eq!(path(&at("/~/x.age")).unwrap(), "x.age");
        for wrong in ["/a%0a!sh", "/a\"b", "/*", "/a b", "/~/-x"] {
            assert!(path(&at(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_went_wrong_is_said() {
        let said = "Warning: x\nadmin@h: Permission denied (publickey,password).\n";
        assert!(reason("h", said).contains("show ssh client key"));
        assert!(reason("h", "@@@ REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\n").contains("unset"));
        assert_eq!(reason("h", "Connection closed\n"), "h: Connection closed");
    }
}
