//! What an administrator has set, and what may be set.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings, SetUp, SyslogSettings};
use admin_api::refusal::{Refusal, RefusalCode};
use serde::{Deserialize, Serialize};

use crate::file::{self, WriteFailure};

/// Digest algorithms that may be offered.
const ALGORITHMS: [&str; 2] = ["SHA-256", "MD5"];

/// All settings of the machine. What a later version has added is passed over, so that going back
/// to this one finds its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// One label.
    pub(crate) host_name: String,
    /// The SIP domain.
    pub(crate) domain: String,
    /// The time zone.
    pub(crate) time_zone: String,
    /// Time servers; none leaves them to DHCP.
    #[serde(default)]
    pub(crate) time_servers: Vec<String>,
    /// Peers exempt from digest.
    #[serde(default)]
    pub(crate) trusted: Vec<String>,
    /// Digest algorithms, in the order in which they are offered.
    #[serde(default = "all_algorithms")]
    pub(crate) digest: Vec<String>,
    /// Name servers; none leaves them to DHCP.
    #[serde(default)]
    pub(crate) name_servers: Vec<IpAddr>,
    /// The interface's MTU.
    #[serde(default)]
    pub(crate) mtu_bytes: Option<u32>,
    /// IPv4.
    pub(crate) ipv4: Ipv4Settings,
    /// IPv6.
    pub(crate) ipv6: Ipv6Settings,
    /// Where logs are sent.
    #[serde(default)]
    pub(crate) syslog: Option<SyslogSettings>,
    /// Certificates of servers that files are fetched from and left at.
    #[serde(default)]
    pub(crate) trust_pem: String,
}

fn all_algorithms() -> Vec<String> {
    ALGORITHMS.map(ToOwned::to_owned).to_vec()
}

/// Settings that are there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsFailure {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path} cannot be understood")]
    Malformed {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: toml::de::Error,
    },
}

impl Settings {
    /// Reads the settings; none before the first start's questions are answered.
    ///
    /// # Errors
    /// [`SettingsFailure`].
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, SettingsFailure> {
        let name = || path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| SettingsFailure::Unreadable { path: name(), source })?,
        };
        let settings = toml::from_str(&text)
            .map_err(|source| SettingsFailure::Malformed { path: name(), source })?;
        Ok(Some(settings))
    }

    /// These settings, with the network of others.
    pub(crate) fn with_network_of(self, other: &Self) -> Self {
        Self {
            ipv4: other.ipv4.clone(),
            ipv6: other.ipv6.clone(),
            name_servers: other.name_servers.clone(),
            mtu_bytes: other.mtu_bytes,
            ..self
        }
    }

    /// Writes them.
    ///
    /// # Errors
    /// [`WriteFailure`]; the old ones are then still there.
    pub(crate) fn save(&self, path: &Path) -> Result<(), WriteFailure> {
        let text = toml::to_string(self).map_err(|error| WriteFailure {
            path: path.to_owned(),
            source: io::Error::other(error),
        })?;
        file::replace(path, text.as_bytes(), 0o600)
    }

    /// The settings that the first start's answers make, every one checked.
    ///
    /// # Errors
    /// A refusal that names the answer.
    pub(crate) fn from_set_up(set_up: &SetUp) -> Result<Self, Refusal> {
        let settings = Self {
            host_name: set_up.host_name.clone(),
            domain: set_up.domain.to_ascii_lowercase(),
            time_zone: set_up.time_zone.clone(),
            time_servers: set_up.time_servers.clone(),
            trusted: set_up.trusted.clone(),
            digest: all_algorithms(),
            name_servers: set_up.name_servers.clone(),
            mtu_bytes: None,
            ipv4: set_up.ipv4.clone(),
            ipv6: set_up.ipv6.clone(),
            syslog: None,
            trust_pem: String::new(),
        };
        settings.check()?;
        Ok(settings)
    }

    /// Checks everything but what is the machine's own matter (the zone's existence).
    ///
    /// # Errors
    /// A refusal that names the setting.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if !is_label(&self.host_name) {
            return Err(bad(
                "host name",
                format!("{:?} is no host name", self.host_name),
                "use letters, digits and hyphens, 63 at most, none at the ends",
            ));
        }
        if !is_name(&self.domain) || !self.domain.contains('.') {
            return Err(bad(
                "domain",
                format!("{:?} is no domain", self.domain),
                "give the part behind the @ of your SIP addresses, for example example.org",
            ));
        }
        self.check_network()?;
        if self.time_servers.len() > 4 || !self.time_servers.iter().all(|name| is_host(name)) {
            return Err(bad(
                "time servers",
                "these are not up to four names or addresses".to_owned(),
                "give names or addresses, for example ntp.example.org",
            ));
        }
        for block in &self.trusted {
            if !is_block(block) {
                return Err(bad(
                    "trusted",
                    format!("{block:?} is no address block"),
                    "write an address and its prefix length, for example 192.0.2.10/32",
                ));
            }
        }
        if self.digest.is_empty()
            || !self.digest.iter().all(|name| ALGORITHMS.contains(&name.as_str()))
        {
            return Err(bad(
                "digest",
                "there is an algorithm that is not offered, or none".to_owned(),
                "choose from SHA-256 and MD5",
            ));
        }
        if let Some(syslog) = &self.syslog
            && (!is_host(&syslog.host) || syslog.port == 0)
        {
            return Err(bad(
                "syslog",
                format!("{:?} is no server", syslog.host),
                "give a name or an address, and a port",
            ));
        }
        Ok(())
    }

    fn check_network(&self) -> Result<(), Refusal> {
        if let Ipv4Settings::Static { address, prefix_length, gateway } = &self.ipv4 {
            if !(1..=31).contains(prefix_length) || is_no_host_address(*address, *prefix_length) {
                return Err(bad(
                    "IPv4 address",
                    format!("{address}/{prefix_length} is no address of a host"),
                    "write an address and its prefix length, for example 192.0.2.5/24",
                ));
            }
            if let Some(gateway) = gateway
                && (network(*gateway, *prefix_length) != network(*address, *prefix_length)
                    || gateway == address)
            {
                return Err(bad(
                    "IPv4 gateway",
                    format!("{gateway} is not another host of {address}/{prefix_length}"),
                    "give the router's address in the same network",
                ));
            }
        }
        if let Ipv6Settings::Static { address, prefix_length, .. } = &self.ipv6
            && (!(1..=127).contains(prefix_length)
                || address.is_multicast()
                || address.is_unspecified()
                || address.is_loopback())
        {
            return Err(bad(
                "IPv6 address",
                format!("{address}/{prefix_length} is no address of a host"),
                "write an address and its prefix length, for example 2001:db8::5/64",
            ));
        }
        if self.name_servers.len() > 3
            || self.name_servers.iter().any(|a| a.is_unspecified() || a.is_multicast())
        {
            return Err(bad(
                "name servers",
                "these are not up to three addresses of hosts".to_owned(),
                "give addresses, for example 192.0.2.53",
            ));
        }
        let least = if self.ipv6 == Ipv6Settings::Off { 576 } else { 1_280 };
        match self.mtu_bytes {
            Some(mtu) if !(least..=9_216).contains(&mtu) => Err(bad(
                "MTU",
                format!("{mtu} bytes cannot be"),
                "give 576 to 9216 bytes, 1280 at least with IPv6",
            )),
            _ => Ok(()),
        }
    }
}

fn bad(place: &str, what: String, next: &str) -> Refusal {
    Refusal::new(RefusalCode::InvalidValue, what, place, next)
}

fn network(address: Ipv4Addr, prefix_length: u8) -> u32 {
    let shift = 32_u32.saturating_sub(u32::from(prefix_length));
    address.to_bits().checked_shr(shift).unwrap_or(0)
}

fn is_no_host_address(address: Ipv4Addr, prefix_length: u8) -> bool {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix_length));
    let host = address.to_bits() & (1_u32.checked_shl(host_bits).unwrap_or(0)).wrapping_sub(1);
    let highest = (1_u32.checked_shl(host_bits).unwrap_or(0)).wrapping_sub(1);
    let is_network_or_broadcast = host_bits > 1 && (host == 0 || host == highest);
    is_network_or_broadcast
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast()
}

/// Whether this is one label of a host's name (RFC 1123 §2.1).
pub(crate) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether this is a name made of labels.
fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether this is a name or an address of a host.
pub(crate) fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_name(text)
}

fn is_block(text: &str) -> bool {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

#[cfg(test)]
mod tests {
    use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings, SyslogSettings};

    use super::Settings;

    pub(crate) fn settings() -> Settings {
        Settings {
            host_name: "lamp".to_owned(),
            domain: "example.test".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            time_servers: vec!["ntp.example.test".to_owned()],
            trusted: vec!["192.0.2.0/24".to_owned(), "2001:db8::1/128".to_owned()],
            digest: vec!["MD5".to_owned()],
            name_servers: vec!["192.0.2.53".parse().unwrap()],
            mtu_bytes: Some(1_400),
            ipv4: Ipv4Settings::Static {
                address: "192.0.2.5".parse().unwrap(),
                prefix_length: 24,
                gateway: Some("192.0.2.1".parse().unwrap()),
            },
            ipv6: Ipv6Settings::Automatic,
            syslog: Some(SyslogSettings {
                host: "logs.example.test".to_owned(),
                port: 6514,
                trust_pem: "-----BEGIN\n\"\n".to_owned(),
            }),
            trust_pem: String::new(),
        }
    }

    #[test]
    fn settings_survive_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.toml");
        assert_eq!(Settings::load(&path).unwrap(), None);
        settings().save(&path).unwrap();
        assert_eq!(Settings::load(&path).unwrap(), Some(settings()));
        std::fs::write(&path, "host_name = 3").unwrap();
        assert!(Settings::load(&path).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        type Change = fn(&mut Settings);
        settings().check().unwrap();
        let changes: &[(&str, Change)] = &[
            ("host name", |s| s.host_name = "a.b".to_owned()),
            ("host name", |s| s.host_name = "-a".to_owned()),
            ("host name", |s| s.host_name = String::new()),
            ("domain", |s| s.domain = "example".to_owned()),
            ("domain", |s| s.domain = "exa mple.test".to_owned()),
            ("domain", |s| s.domain = "a\n.test".to_owned()),
            ("name servers", |s| s.name_servers = vec!["0.0.0.0".parse().unwrap()]),
            ("MTU", |s| s.mtu_bytes = Some(1_279)),
            ("time servers", |s| s.time_servers = vec!["a b".to_owned()]),
            ("trusted", |s| s.trusted = vec!["192.0.2.0/33".to_owned()]),
            ("digest", |s| s.digest = vec!["MD4".to_owned()]),
            ("digest", |s| s.digest.clear()),
            ("syslog", |s| s.syslog.as_mut().unwrap().host = "a;b".to_owned()),
        ];
        for (place, change) in changes {
            let mut settings = settings();
            change(&mut settings);
            assert_eq!(&settings.check().unwrap_err().place, place);
        }
    }

    #[test]
    fn an_address_must_be_a_hosts_and_its_gateway_a_neighbour() {
        for (address, prefix_length, gateway, is_good) in [
            ("10.0.0.1", 8, Some("10.255.255.254"), true),
            ("192.0.2.0", 31, None, true),
            ("192.0.2.5", 24, Some("192.0.3.1"), false),
            ("192.0.2.5", 24, Some("192.0.2.5"), false),
            ("192.0.2.0", 24, None, false),
            ("192.0.2.255", 24, None, false),
            ("192.0.2.5", 0, None, false),
            ("192.0.2.5", 32, None, false),
            ("127.0.0.1", 8, None, false),
            ("224.0.0.1", 4, None, false),
        ] {
            let mut settings = settings();
            settings.ipv4 = Ipv4Settings::Static {
                address: address.parse().unwrap(),
                prefix_length,
                gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            };
            assert_eq!(settings.check().is_ok(), is_good, "{address}/{prefix_length} {gateway:?}");
        }
        let mut settings = settings();
        settings.ipv6 = Ipv6Settings::Static {
            address: "ff02::1".parse().unwrap(),
            prefix_length: 64,
            gateway: None,
        };
        assert!(settings.check().is_err());
    }
}
