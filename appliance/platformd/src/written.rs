//! What other programs read at this start: the network for systemd-networkd, name servers for
//! resolvers, time servers for systemd-timesyncd, the settings of the presence server.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings};
use nix::unistd::Group;
use serde::Serialize;

use crate::config::Config;
use crate::file::{self, WriteFailure};
use crate::settings::Settings;

/// The interface that the appliance serves on.
pub(crate) const INTERFACE: &str = "eth0";

/// Writes everything for these settings.
///
/// # Errors
/// The first file that could not be written.
pub(crate) fn write_all(config: &Config, settings: &Settings) -> Result<(), WriteFailure> {
    write_network(config, settings)?;
    write_time(config, settings)?;
    write_presence(config, settings)?;
    if let Err(error) = nix::unistd::sethostname(&settings.host_name) {
        tracing::warn!(%error, "the host's name could not be set");
    }
    Ok(())
}

/// What holds before anything is set: the network by DHCP, so that the appliance is found.
pub(crate) fn write_unset(config: &Config) -> Result<(), WriteFailure> {
    let text = network_file(&Ipv4Settings::Dhcp, &Ipv6Settings::Automatic, &[], None);
    file::replace(&network_path(config), text.as_bytes(), 0o644)?;
    file::replace_link(&config.run_dir.join("localtime"), &config.zoneinfo_dir.join("UTC"))
}

/// The network for systemd-networkd, and name servers.
pub(crate) fn write_network(config: &Config, settings: &Settings) -> Result<(), WriteFailure> {
    let text =
        network_file(&settings.ipv4, &settings.ipv6, &settings.name_servers, settings.mtu_bytes);
    file::replace(&network_path(config), text.as_bytes(), 0o644)?;
    write_resolver(config, &settings.name_servers)
}

/// Zone and time servers.
pub(crate) fn write_time(config: &Config, settings: &Settings) -> Result<(), WriteFailure> {
    let zone = config.zoneinfo_dir.join(&settings.time_zone);
    file::replace_link(&config.run_dir.join("localtime"), &zone)?;
    let mut text = "[Time]\n".to_owned();
    if !settings.time_servers.is_empty() {
        let _ = writeln!(text, "NTP={}", settings.time_servers.join(" "));
    }
    file::replace(&config.timesync_dir.join("lamplight.conf"), text.as_bytes(), 0o644)
}

/// Name servers for resolvers: as set, or as learned.
pub(crate) fn write_resolver(config: &Config, servers: &[IpAddr]) -> Result<(), WriteFailure> {
    let servers = if servers.is_empty() { learned_servers(config) } else { servers.to_vec() };
    let mut text = String::new();
    for server in servers.iter().take(3) {
        let _ = writeln!(text, "nameserver {server}");
    }
    let path = config.run_dir.join("resolv.conf");
    if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    file::replace(&path, text.as_bytes(), 0o644)
}

/// Name servers that systemd-networkd has learned.
pub(crate) fn learned_servers(config: &Config) -> Vec<IpAddr> {
    let text = std::fs::read_to_string(&config.netif_state).unwrap_or_default();
    let servers = text.lines().find_map(|line| line.strip_prefix("DNS=")).unwrap_or_default();
    servers.split_whitespace().filter_map(|server| server.parse().ok()).collect()
}

/// Where the presence server's settings are.
pub(crate) fn presence_path(config: &Config) -> PathBuf {
    config.run_dir.join("presenced.toml")
}

/// The settings of the presence server.
pub(crate) fn write_presence(config: &Config, settings: &Settings) -> Result<(), WriteFailure> {
    let path = presence_path(config);
    let failed = |source| WriteFailure { path: path.clone(), source };
    let text =
        presence_file(config, settings).map_err(|error| failed(std::io::Error::other(error)))?;
    file::replace(&path, text.as_bytes(), 0o640)?;
    if let Ok(Some(group)) = Group::from_name(&config.presence_group) {
        chown(&path, None, Some(group.gid.as_raw())).map_err(failed)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Presence<'a> {
    domain: &'a str,
    data_dir: PathBuf,
    sip: Sip<'a>,
    http: Http,
    control: Control<'a>,
}

#[derive(Serialize)]
struct Sip<'a> {
    listen: [&'static str; 8],
    trusted: &'a [String],
    digest: &'a [String],
}

#[derive(Serialize)]
struct Http {
    listen: &'static str,
}

#[derive(Serialize)]
struct Control<'a> {
    socket: &'a PathBuf,
    group: &'a str,
}

fn presence_file(config: &Config, settings: &Settings) -> Result<String, toml::ser::Error> {
    toml::to_string(&Presence {
        domain: &settings.domain,
        data_dir: config.running_data_dir(),
        sip: Sip {
            listen: [
                "udp:0.0.0.0:5060",
                "tcp:0.0.0.0:5060",
                "tls:0.0.0.0:5061",
                "wss:0.0.0.0:7443",
                "udp:[::]:5060",
                "tcp:[::]:5060",
                "tls:[::]:5061",
                "wss:[::]:7443",
            ],
            trusted: &settings.trusted,
            digest: &settings.digest,
        },
        http: Http { listen: "0.0.0.0:8443" },
        control: Control { socket: &config.presence_socket, group: &config.presence_socket_group },
    })
}

fn network_path(config: &Config) -> PathBuf {
    config.network_dir.join("10-lamplight.network")
}

fn network_file(
    ipv4: &Ipv4Settings,
    ipv6: &Ipv6Settings,
    name_servers: &[IpAddr],
    mtu_bytes: Option<u32>,
) -> String {
    let mut text = format!("[Match]\nName={INTERFACE}\n\n[Link]\nRequiredForOnline=no\n");
    if let Some(mtu) = mtu_bytes {
        let _ = writeln!(text, "MTUBytes={mtu}");
    }
    let (router, dhcp) = match (ipv4, ipv6) {
        (Ipv4Settings::Dhcp, Ipv6Settings::Automatic) => ("yes", "yes"),
        (Ipv4Settings::Dhcp, _) => ("no", "ipv4"),
        (_, Ipv6Settings::Automatic) => ("yes", "no"),
        (_, _) => ("no", "no"),
    };
    let _ = write!(text, "\n[Network]\nDHCP={dhcp}\nIPv6AcceptRA={router}\nLLDP=no\n");
    for server in name_servers {
        let _ = writeln!(text, "DNS={server}");
    }
    if let Ipv4Settings::Static { address, prefix_length, gateway } = ipv4 {
        let _ = writeln!(text, "Address={address}/{prefix_length}");
        if let Some(gateway) = gateway {
            let _ = writeln!(text, "Gateway={gateway}");
        }
    }
    if let Ipv6Settings::Static { address, prefix_length, gateway } = ipv6 {
        let _ = writeln!(text, "Address={address}/{prefix_length}");
        if let Some(gateway) = gateway {
            let _ = writeln!(text, "Gateway={gateway}");
        }
    }
    // The name and the zone are the administrator's; routes and the rest may come from DHCP.
    text.push_str("\n[DHCPv4]\nUseHostname=no\nUseTimezone=no\nSendHostname=yes\n");
    text.push_str("\n[DHCPv6]\nUseHostname=no\n");
    text
}

#[cfg(test)]
mod tests {
    use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings};

    use super::network_file;

    #[test]
    fn a_static_network_asks_nobody() {
        let ipv4 = Ipv4Settings::Static {
            address: "192.0.2.5".parse().unwrap(),
            prefix_length: 24,
            gateway: Some("192.0.2.1".parse().unwrap()),
        };
        let text =
            network_file(&ipv4, &Ipv6Settings::Off, &["192.0.2.53".parse().unwrap()], Some(1_400));
        for line in [
            "Name=eth0",
            "MTUBytes=1400",
            "DHCP=no",
            "IPv6AcceptRA=no",
            "DNS=192.0.2.53",
            "Address=192.0.2.5/24",
            "Gateway=192.0.2.1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in {text}");
        }
    }

    #[test]
    fn dhcp_asks_for_what_is_wanted() {
        let both = network_file(&Ipv4Settings::Dhcp, &Ipv6Settings::Automatic, &[], None);
        assert!(both.contains("DHCP=yes\nIPv6AcceptRA=yes\n"));
        let old = network_file(&Ipv4Settings::Dhcp, &Ipv6Settings::Off, &[], None);
        assert!(old.contains("DHCP=ipv4\nIPv6AcceptRA=no\n") && !old.contains("MTUBytes"));
    }
}
