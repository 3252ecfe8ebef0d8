//! Answers to the first start's questions on a disk labelled `LAMPLIGHT`; the form is documented
//! in `image/lamplight.example.toml`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings, SetUp};
use admin_api::secret::Secret;
use serde::Deserialize;

use crate::disk::{self, Attached, LABEL};

/// The file on the disk.
const FILE: &str = "lamplight.toml";
/// The largest file that is read.
const MAX_BYTES: u64 = 64 * 1024;
/// How long is waited for the disk, and how often is looked.
const LOOK_FOR: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Answers, and the administrator's password where it is given as a hash.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The answers.
    pub(crate) set_up: SetUp,
    /// A hash that replaces the password.
    pub(crate) password_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawAnswers {
    domain: String,
    #[serde(default = "default_host_name")]
    host_name: String,
    #[serde(default = "default_zone")]
    time_zone: String,
    #[serde(default)]
    time_servers: Vec<String>,
    #[serde(default)]
    trusted: Vec<String>,
    password: Option<String>,
    password_hash: Option<String>,
    #[serde(default)]
    ssh_keys: Vec<String>,
    #[serde(default)]
    network: RawNetwork,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawNetwork {
    ipv4: Option<String>,
    gateway: Option<Ipv4Addr>,
    ipv6: Option<String>,
    ipv6_gateway: Option<Ipv6Addr>,
    #[serde(default)]
    name_servers: Vec<IpAddr>,
}

fn default_host_name() -> String {
    "lamplight".to_owned()
}

fn default_zone() -> String {
    "UTC".to_owned()
}

/// Looks for the disk and reads its file; none when there is no such disk. Waits a few seconds for
/// the disk to be found by the kernel.
///
/// # Errors
/// Why the file cannot be followed, in words for the administrator.
pub(crate) async fn find(mount_on: &Path) -> Result<Option<Answers>, String> {
    let link = disk::link();
    let deadline = tokio::time::Instant::now() + LOOK_FOR;
    while !link.exists() {
        if tokio::time::Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let text = read_disk(mount_on)?;
    parse(&text).map(Some)
}

fn read_disk(mount_on: &Path) -> Result<String, String> {
    let disk = Attached::mount(mount_on)?;
    read_file(&disk.directory().join(FILE))
}

fn read_file(path: &PathBuf) -> Result<String, String> {
    let size = std::fs::symlink_metadata(path)
        .map_err(|_| format!("the disk {LABEL} has no file {FILE}"))?;
    if !size.is_file() || size.len() > MAX_BYTES {
        return Err(format!("{FILE} is no file of up to {MAX_BYTES} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("{FILE} cannot be read: {error}"))
}

fn parse(text: &str) -> Result<Answers, String> {
    let raw: RawAnswers =
        toml::from_str(text).map_err(|error| format!("{FILE}: {}", error.to_string().trim()))?;
    if raw.password.is_none() && raw.password_hash.is_none() && raw.ssh_keys.is_empty() {
        return Err(format!("{FILE}: give password, password-hash or ssh-keys"));
    }
    if raw.password_hash.as_deref().is_some_and(|hash| !hash.starts_with("$6$")) {
        return Err(format!("{FILE}: password-hash is not as \"openssl passwd -6\" prints it"));
    }
    let set_up = SetUp {
        host_name: raw.host_name,
        domain: raw.domain,
        ipv4: ipv4(raw.network.ipv4.as_deref(), raw.network.gateway)?,
        ipv6: ipv6(raw.network.ipv6.as_deref(), raw.network.ipv6_gateway)?,
        name_servers: raw.network.name_servers,
        time_zone: raw.time_zone,
        time_servers: raw.time_servers,
        password: Secret::new(raw.password.unwrap_or_default()),
        ssh_keys: raw.ssh_keys,
        trusted: raw.trusted,
    };
    Ok(Answers { set_up, password_hash: raw.password_hash })
}

fn ipv4(text: Option<&str>, gateway: Option<Ipv4Addr>) -> Result<Ipv4Settings, String> {
    match text {
        None | Some("dhcp") => Ok(Ipv4Settings::Dhcp),
        Some(text) => match split_prefix(text) {
            Some((address, prefix_length)) => {
                Ok(Ipv4Settings::Static { address, prefix_length, gateway })
            }
            None => Err(format!("{FILE}: network.ipv4 is neither \"dhcp\" nor like 192.0.2.5/24")),
        },
    }
}

fn ipv6(text: Option<&str>, gateway: Option<Ipv6Addr>) -> Result<Ipv6Settings, String> {
    match text {
        None | Some("automatic") => Ok(Ipv6Settings::Automatic),
        Some("off") => Ok(Ipv6Settings::Off),
        Some(text) => match split_prefix(text) {
            Some((address, prefix_length)) => {
                Ok(Ipv6Settings::Static { address, prefix_length, gateway })
            }
            None => Err(format!(
                "{FILE}: network.ipv6 is neither \"automatic\", \"off\" nor like 2001:db8::5/64"
            )),
        },
    }
}

fn split_prefix<A: std::str::FromStr>(text: &str) -> Option<(A, u8)> {
    let (address, length) = text.split_once('/')?;
    Some((address.parse().ok()?, length.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings};

    use super::parse;

    #[test]
    fn the_documented_example_can_be_followed() {
        let example = include_str!("../../../image/lamplight.example.toml");
        let answers = parse(example).unwrap();
        assert_eq!(answers.set_up.domain, "example.test");
        assert_eq!(answers.set_up.ipv4, Ipv4Settings::Dhcp);
        crate::settings::Settings::from_set_up(&answers.set_up).unwrap();
    }

    #[test]
    fn little_is_enough() {
        let answers = parse("domain = \"a.test\"\npassword = \"12345678\"\n").unwrap();
        assert_eq!(answers.set_up.host_name, "lamplight");
        assert_eq!(answers.set_up.ipv6, Ipv6Settings::Automatic);
        let text = "domain = \"a.test\"\nssh-keys = [\"x\"]\n[network]\nipv4 = \"192.0.2.5/24\"\n\
                    gateway = \"192.0.2.1\"\nipv6 = \"off\"\n";
        let answers = parse(text).unwrap();
        assert_eq!(answers.set_up.ipv6, Ipv6Settings::Off);
        assert!(matches!(answers.set_up.ipv4, Ipv4Settings::Static { prefix_length: 24, .. }));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("domain = \"a.test\"\n", "give password"),
            ("password = \"12345678\"\n", "domain"),
            ("domain = \"a.test\"\npasword = \"12345678\"\n", "pasword"),
            ("domain = \"a.test\"\npassword-hash = \"$1$x\"\n", "openssl passwd -6"),
            ("domain = \"a.test\"\npassword = \"12345678\"\n[network]\nipv4 = \"x\"\n", "ipv4"),
            ("domain = 3\n", "line 1"),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
