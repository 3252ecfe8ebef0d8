//! Keys of OpenSSH: the host's own, and those that may sign in.

use std::path::Path;

use admin_api::platform::answer::SshKey;
use admin_api::refusal::{Refusal, RefusalCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::config::Config;
use crate::file::{self, WriteFailure};

/// Algorithms that may sign in.
const ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
/// Keys that there may be.
const MOST: usize = 32;

/// Makes the host's key where there is none.
pub(crate) async fn make_host_key(config: &Config) -> std::io::Result<()> {
    let path = config.ssh_dir().join("ssh_host_ed25519_key");
    if path.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(config.ssh_dir())?;
    let fresh = config.ssh_dir().join("new_host_key");
    let _ = std::fs::remove_file(&fresh);
    let status = Command::new("/usr/bin/ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "lamplight", "-f"])
        .arg(&fresh)
        .env_clear()
        .status()
        .await?;
    if !status.success() {
        return Err(std::io::Error::other(format!("ssh-keygen ended with {status}")));
    }
    std::fs::File::open(&fresh)?.sync_all()?;
    std::fs::rename(fresh.with_extension("pub"), path.with_extension("pub"))?;
    std::fs::rename(&fresh, &path)?;
    std::fs::File::open(config.ssh_dir())?.sync_all()
}

/// A key that may sign in, read from a line of `authorized_keys` without options.
fn parse(line: &str) -> Option<SshKey> {
    let mut words = line.split_whitespace();
    let algorithm = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    let comment = words.collect::<Vec<_>>().join(" ");
    let name = algorithm.as_bytes();
    let length = u32::try_from(name.len()).ok()?.to_be_bytes();
    let is_of_its_kind = blob.strip_prefix(&length).is_some_and(|rest| rest.starts_with(name));
    if !ALGORITHMS.contains(&algorithm) || !is_of_its_kind || comment.chars().any(char::is_control)
    {
        return None;
    }
    let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&blob)));
    Some(SshKey { algorithm: algorithm.to_owned(), fingerprint, comment })
}

/// Refuses what is no key.
pub(crate) fn check(line: &str) -> Result<SshKey, Refusal> {
    parse(line).ok_or_else(|| {
        Refusal::new(
            RefusalCode::InvalidValue,
            "this is no public key that may sign in",
            "SSH key",
            "paste one line as in id_ed25519.pub, without options before it",
        )
    })
}

fn lines(config: &Config) -> Vec<String> {
    let text = std::fs::read_to_string(config.ssh_dir().join("authorized_keys"));
    text.unwrap_or_default().lines().map(ToOwned::to_owned).collect()
}

/// The keys that may sign in.
pub(crate) fn list(config: &Config) -> Vec<SshKey> {
    lines(config).iter().filter_map(|line| parse(line)).collect()
}

/// Writes the keys that may sign in, each checked before.
pub(crate) fn write(config: &Config, lines: &[String]) -> Result<(), WriteFailure> {
    let mut text = lines.join("\n");
    text.push('\n');
    file::replace(&config.ssh_dir().join("authorized_keys"), text.as_bytes(), 0o644)
}

/// Lets a key sign in.
pub(crate) fn add(config: &Config, line: &str) -> Result<(), Refusal> {
    let key = check(line)?;
    let mut lines = lines(config);
    lines.retain(|old| parse(old).is_none_or(|old| old.fingerprint != key.fingerprint));
    if lines.len() >= MOST {
        return Err(Refusal::new(
            RefusalCode::TooLarge,
            format!("there are {MOST} keys already"),
            "SSH key",
            "delete one that is not used with \"unset ssh key FINGERPRINT\"",
        ));
    }
    lines.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
    write(config, &lines).map_err(|failure| written(&failure))
}

/// Lets a key sign in no longer.
pub(crate) fn delete(config: &Config, fingerprint: &str) -> Result<(), Refusal> {
    let mut lines = lines(config);
    let before = lines.len();
    lines.retain(|line| parse(line).is_some_and(|key| key.fingerprint != fingerprint));
    if lines.len() == before {
        return Err(Refusal::new(
            RefusalCode::NotFound,
            format!("there is no key {fingerprint}"),
            "SSH key",
            "\"show ssh keys\" lists them",
        ));
    }
    write(config, &lines).map_err(|failure| written(&failure))
}

fn written(failure: &WriteFailure) -> Refusal {
    crate::platform::failed(failure, Path::new(&failure.path).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::parse;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3sCXvYvYKx8bdoYjJ8kuNYgWfvTzQpHq3nOSBfUGQk anna@example";

    #[test]
    fn a_key_is_known_by_its_fingerprint() {
        let key = parse(KEY).unwrap();
        assert_eq!((key.algorithm.as_str(), key.comment.as_str()), ("ssh-ed25519", "anna@example"));
        assert!(key.fingerprint.starts_with("SHA256:") && key.fingerprint.len() == 50);
    }

    #[test]
    fn what_is_no_plain_key_is_refused() {
        for wrong in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 !!!!",
            "ssh-dss AAAAB3NzaC1kc3M=",
            &format!("command=\"/bin/sh\" {KEY}"),
            &KEY.replace("ssh-ed25519", "ssh-rsa"),
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
