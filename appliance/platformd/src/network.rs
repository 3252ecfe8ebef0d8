//! The network as it is, and changes to it that are undone unless somebody confirms them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use admin_api::platform::answer::{Interface, Network};
use tokio::time::Instant;

use crate::config::Config;
use crate::settings::Settings;
use crate::written::{self, INTERFACE};

/// How long a change waits for its confirmation.
pub(crate) const CONFIRM_WITHIN: Duration = Duration::from_secs(120);

/// Where the kernel lists interfaces.
const NET_DIR: &str = "/sys/class/net";

/// A change that is in force and not confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    /// What is in force.
    pub(crate) settings: Settings,
    /// When it is undone.
    pub(crate) until: Instant,
}

/// The network as an administrator sees it.
pub(crate) fn show(config: &Config, settings: &Settings, pending: Option<&Pending>) -> Network {
    let in_force = pending.map_or(settings, |pending| &pending.settings);
    let name_servers_in_use = if in_force.name_servers.is_empty() {
        written::learned_servers(config)
    } else {
        in_force.name_servers.clone()
    };
    Network {
        host_name: settings.host_name.clone(),
        ipv4: in_force.ipv4.clone(),
        ipv6: in_force.ipv6.clone(),
        name_servers: in_force.name_servers.clone(),
        mtu_bytes: in_force.mtu_bytes,
        interfaces: interfaces(),
        name_servers_in_use,
        undone_in_s: pending
            .map(|pending| pending.until.saturating_duration_since(Instant::now()).as_secs()),
    }
}

fn interfaces() -> Vec<Interface> {
    let addresses = addresses();
    let gateways = gateways();
    let Ok(entries) = std::fs::read_dir(NET_DIR) else { return Vec::new() };
    let mut interfaces: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let of = |file: &str| read(&entry.path().join(file));
            let driver = std::fs::read_link(entry.path().join("device/driver")).ok();
            (name != "lo").then(|| Interface {
                mac: of("address").filter(|mac| !mac.is_empty()),
                driver: driver.and_then(|path| Some(path.file_name()?.to_str()?.to_owned())),
                has_link: of("carrier").as_deref() == Some("1"),
                speed_mbit: of("speed").and_then(|speed| speed.parse().ok()),
                mtu_bytes: of("mtu").and_then(|mtu| mtu.parse().ok()).unwrap_or_default(),
                addresses: addresses.get(&name).cloned().unwrap_or_default(),
                gateways: gateways.get(&name).cloned().unwrap_or_default(),
                is_served: name == INTERFACE,
                name,
            })
        })
        .collect();
    interfaces.sort_by(|a, b| (!a.is_served, &a.name).cmp(&(!b.is_served, &b.name)));
    interfaces
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn addresses() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return found };
    for interface in all {
        let Some(address) = interface.address else { continue };
        let mask = interface.netmask;
        let text = if let Some(v4) = address.as_sockaddr_in() {
            let bits = mask.and_then(|m| m.as_sockaddr_in().map(|m| m.ip().to_bits().count_ones()));
            format!("{}/{}", v4.ip(), bits.unwrap_or(32))
        } else if let Some(v6) = address.as_sockaddr_in6() {
            let bits =
                mask.and_then(|m| m.as_sockaddr_in6().map(|m| m.ip().to_bits().count_ones()));
            format!("{}/{}", v6.ip(), bits.unwrap_or(128))
        } else {
            continue;
        };
        found.entry(interface.interface_name).or_default().push(text);
    }
    found
}

fn gateways() -> BTreeMap<String, Vec<IpAddr>> {
    let text = |path| std::fs::read_to_string(path).unwrap_or_default();
    gateways_in(&text("/proc/net/route"), &text("/proc/net/ipv6_route"))
}

/// Ways out by interface, as the kernel lists its routes.
fn gateways_in(ipv4: &str, ipv6: &str) -> BTreeMap<String, Vec<IpAddr>> {
    let mut found: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for line in ipv4.lines().skip(1) {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [name, "00000000", gateway, ..] = words.as_slice()
            && let Ok(bits) = u32::from_str_radix(gateway, 16)
            && bits != 0
        {
            let address = Ipv4Addr::from(bits.to_ne_bytes());
            found.entry((*name).to_owned()).or_default().push(address.into());
        }
    }
    for line in ipv6.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [target, "00", _, _, gateway, .., name] = words.as_slice()
            && target.bytes().all(|byte| byte == b'0')
            && let Ok(bits) = u128::from_str_radix(gateway, 16)
            && bits != 0
        {
            let address = Ipv6Addr::from_bits(bits);
            found.entry((*name).to_owned()).or_default().push(address.into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::gateways_in;

    #[test]
    fn ways_out_are_read_from_the_kernels_routes() {
        let ipv4 = "Iface\tDestination\tGateway \tFlags\n\
                    eth0\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                    eth0\t0002000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        let ipv6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                    fe800000000000000000000000000002 00000400 00000001 00000000 00450003 eth0\n\
                    fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
                    00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n";
        let found = gateways_in(ipv4, ipv6);
        let expected: Vec<IpAddr> = vec!["10.0.2.2".parse().unwrap(), "fe80::2".parse().unwrap()];
        assert_eq!(found.get("eth0"), Some(&expected));
        assert!(gateways_in("", "").is_empty());
    }
}
