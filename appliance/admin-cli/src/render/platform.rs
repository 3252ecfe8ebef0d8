//! What the platform service says, as text.

use admin_api::platform::answer::{
    Answer, File, Network, NetworkChanged, Platform, Recovery, SshKey, Syslog, Time,
};
use admin_api::platform::backup::{BackupFile, BackupPlace, BackupWork, Backups};
use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings, SipSettings};
use admin_api::platform::upgrade::{SlotFacts, SwitchFacts, Upgrade, UpgradeState};

use super::text::{or_dash, safe, size, yes};
use super::{Fields, Table, Zone, log, node};

/// An answer as lines, free of control characters.
pub(crate) fn answer(answer: &Answer, zone: &Zone) -> Vec<String> {
    match answer {
        Answer::Done => vec!["Done.".to_owned()],
        Answer::Platform(platform) => facts(platform),
        Answer::Recovery(Recovery { is_proven, remaining_s }) => Fields::default()
            .add("Proven", yes(*is_proven))
            .add("Remaining", format!("{remaining_s} s"))
            .lines(),
        Answer::SshKeys(keys) => ssh_keys(keys),
        Answer::Network(settings) => network(settings),
        Answer::NetworkChanged(changed) => network_changed(changed),
        Answer::Time(clock) => time(clock),
        Answer::TimeZones(zones) => zones.iter().map(|zone| safe(zone)).collect(),
        Answer::Sip(settings) => sip(settings),
        Answer::Syslog(settings) => syslog(settings.as_ref()),
        Answer::Services(services) => node::services(services, zone),
        Answer::Logs(logs) => log::inventory(logs, zone),
        Answer::LogLines(lines) => lines.lines.iter().map(|line| log::line(line, zone)).collect(),
        Answer::Files(list) => files(list, zone),
        Answer::FilePart(part) => vec![format!("{} of base64", size(part.size_bytes))],
        Answer::Upgrade(shown) => upgrade(shown, zone),
        Answer::Backups(shown) => backups(shown, zone),
        Answer::BackupFiles(list) => backup_files(list),
        Answer::Trust { certificates } if certificates.is_empty() => {
            vec!["No server's certificate is trusted.".to_owned()]
        }
        Answer::Trust { certificates } => certificates.iter().map(|text| safe(text)).collect(),
        Answer::ClientKey { key } => vec![safe(key)],
        Answer::ToolOutput(output) => output.lines.iter().map(|line| safe(line)).collect(),
    }
}

fn upgrade(upgrade: &Upgrade, zone: &Zone) -> Vec<String> {
    let mut table =
        Table::new(&["SLOT", "VERSION", "RUNS", "NEXT", "READY", "FAILED STARTS", "INSTALLED"]);
    for slot in &upgrade.slots {
        table.row([
            slot.name.clone(),
            or_dash(slot.version.clone()),
            yes(slot.is_running).to_owned(),
            yes(slot.is_next).to_owned(),
            yes(slot.is_installed).to_owned(),
            slot.failed_starts.to_string(),
            or_dash(slot.installed_unix_ms.map(|at| zone.time(at))),
        ]);
    }
    let mut lines = table.lines();
    lines.extend(upgrade.slots.iter().flat_map(|slot| failed(slot, zone)));
    if let Some(switch) = &upgrade.latest_switch {
        lines.push(String::new());
        lines.push(switched(switch, zone));
    }
    let state = match &upgrade.state {
        UpgradeState::Idle => None,
        UpgradeState::Running { version, percent, step } => {
            Some(format!("Installing {version}: {percent} %, {step}"))
        }
        UpgradeState::Installed { version } => Some(format!(
            "{version} is installed: \"utils system switch-version\" restarts into it."
        )),
        UpgradeState::Failed { why } => Some(format!("The latest installation failed: {why}")),
    };
    if let Some(state) = state {
        lines.push(String::new());
        lines.push(safe(&state));
    }
    lines
}

fn backups(shown: &Backups, zone: &Zone) -> Vec<String> {
    let place = |place: &BackupPlace| match place {
        BackupPlace::Here => "this machine".to_owned(),
        BackupPlace::Disk => "the disk LAMPLIGHT".to_owned(),
        BackupPlace::Url { url, .. } => url.clone(),
    };
    let schedule = shown.schedule.as_ref().map(|schedule| {
        format!(
            "every day at {:02}:{:02} to {}, {} kept",
            schedule.minute_of_day / 60,
            schedule.minute_of_day % 60,
            place(&schedule.place),
            schedule.keep
        )
    });
    let latest = shown.latest.as_ref().map(|latest| {
        let how = latest.fault.as_ref().map_or_else(String::new, |why| format!(", failed: {why}"));
        format!("{}: {} to {}{how}", zone.time(latest.at_unix_ms), latest.name, latest.place)
    });
    let work = match &shown.work {
        BackupWork::Idle => None,
        BackupWork::Running { step } => Some(format!("Under way: {step}")),
        BackupWork::Done { what } => Some(format!("Done: {what}.")),
        BackupWork::Failed { why } => Some(format!("Failed: {why}")),
    };
    let mut lines = Fields::default()
        .add("Passphrase", if shown.has_passphrase { "set" } else { "not set" })
        .add("Schedule", schedule.unwrap_or_else(|| "none".to_owned()))
        .maybe("Next", shown.next_unix_ms.map(|at| zone.time(at)))
        .add("Latest", latest.unwrap_or_else(|| "none".to_owned()))
        .lines();
    lines.extend(work.map(|work| safe(&work)));
    lines
}

fn backup_files(list: &[BackupFile]) -> Vec<String> {
    if list.is_empty() {
        return vec!["There is no backup.".to_owned()];
    }
    let mut table = Table::new(&["NAME", "SIZE"]);
    for file in list {
        table.row([file.name.clone(), or_dash(file.size_bytes.map(size))]);
    }
    table.lines()
}

/// One slot by itself.
pub(crate) fn slot(slot: &SlotFacts, zone: &Zone) -> Vec<String> {
    let mut lines = Fields::default()
        .add("Slot", &slot.name)
        .add("Version", or_dash(slot.version.clone()))
        .add("Runs", yes(slot.is_running))
        .add("Started next", yes(slot.is_next))
        .add("Can be started", yes(slot.is_installed))
        .maybe("Installed", slot.installed_unix_ms.map(|at| zone.time(at)))
        .lines();
    lines.extend(failed(slot, zone));
    lines
}

fn failed(slot: &SlotFacts, zone: &Zone) -> Vec<String> {
    let Some(failure) = &slot.failure else { return Vec::new() };
    let starts = match failure.starts {
        1 => "1 start".to_owned(),
        starts => format!("{starts} starts"),
    };
    let at = zone.time(failure.at_unix_ms);
    let mut lines = vec![
        String::new(),
        format!("Slot {} was left on {at} after {starts}: it did not become healthy.", slot.name),
    ];
    if failure.lines.is_empty() {
        lines.push(
            "  Its starts left no error in the log: they did not come far enough to keep one."
                .to_owned(),
        );
    }
    lines.extend(failure.lines.iter().map(|line| format!("  {}", safe(line))));
    lines
}

fn switched(switch: &SwitchFacts, zone: &Zone) -> String {
    let how = match (switch.has_failed, switch.without_service_ms) {
        (true, _) => format!("failed, and slot {} runs again", switch.from),
        (false, None) => "is not finished".to_owned(),
        (false, Some(ms)) => {
            format!("SIP was not answered for {}.{} s", ms / 1_000, ms % 1_000 / 100)
        }
    };
    let data = if switch.is_data_carried { "" } else { "; the slot has its own, older data" };
    format!(
        "Latest switch, {} to {} on {}: {how}{data}.",
        switch.from,
        switch.to,
        zone.time(switch.at_unix_ms)
    )
}

fn joined(list: impl IntoIterator<Item = impl ToString>, none: &str) -> String {
    let list: Vec<String> = list.into_iter().map(|item| item.to_string()).collect();
    if list.is_empty() { none.to_owned() } else { list.join(", ") }
}

fn facts(platform: &Platform) -> Vec<String> {
    let sip = platform
        .kernel_to_sip_ms
        .map(|ms| format!("{}.{} s after the kernel's start", ms / 1_000, ms % 1_000 / 100));
    let mut lines = Fields::default()
        .add("Host name", &platform.host_name)
        .add("Version", &platform.version)
        .maybe("Slot", platform.slot.as_deref())
        .add("Set up", yes(platform.is_set_up))
        .maybe("Domain", platform.domain.as_deref())
        .add("Addresses", joined(&platform.addresses, "none"))
        .add("SIP answered", sip.unwrap_or_else(|| "not yet".to_owned()))
        .maybe("Machine's UUID", platform.uuid.as_deref())
        .maybe("Answer file", platform.answer_file_fault.as_deref())
        .lines();
    lines.extend(platform.warnings.iter().map(|warning| format!("Warning: {}", safe(warning))));
    lines
}

fn ssh_keys(keys: &[SshKey]) -> Vec<String> {
    if keys.is_empty() {
        return vec!["No public key may sign in.".to_owned()];
    }
    let mut table = Table::new(&["FINGERPRINT", "KIND", "COMMENT"]);
    for key in keys {
        table.row([key.fingerprint.clone(), key.algorithm.clone(), key.comment.clone()]);
    }
    table.lines()
}

fn network(network: &Network) -> Vec<String> {
    let with = |address: String, gateway: Option<String>| match gateway {
        Some(gateway) => format!("{address}, gateway {gateway}"),
        None => address,
    };
    let ipv4 = match &network.ipv4 {
        Ipv4Settings::Dhcp => "by DHCP".to_owned(),
        Ipv4Settings::Static { address, prefix_length, gateway } => {
            with(format!("{address}/{prefix_length}"), gateway.map(|g| g.to_string()))
        }
    };
    let ipv6 = match &network.ipv6 {
        Ipv6Settings::Off => "off".to_owned(),
        Ipv6Settings::Automatic => "automatic".to_owned(),
        Ipv6Settings::Static { address, prefix_length, gateway } => {
            with(format!("{address}/{prefix_length}"), gateway.map(|g| g.to_string()))
        }
    };
    let mut lines = Fields::default()
        .add("Host name", &network.host_name)
        .add("IPv4", ipv4)
        .add("IPv6", ipv6)
        .add("Name servers", joined(&network.name_servers, "automatic"))
        .add("In use", joined(&network.name_servers_in_use, "none"))
        .maybe("MTU", network.mtu_bytes.map(|bytes| format!("{bytes} bytes")))
        .lines();
    let mut table = Table::new(&[
        "INTERFACE",
        "SERVED",
        "LINK",
        "MTU",
        "ADDRESSES",
        "GATEWAYS",
        "MAC",
        "DRIVER",
    ]);
    for interface in &network.interfaces {
        let speed = interface.speed_mbit.map(|mbit| format!(" {mbit} Mbit/s")).unwrap_or_default();
        table.row([
            interface.name.clone(),
            yes(interface.is_served).to_owned(),
            if interface.has_link { format!("up{speed}") } else { "down".to_owned() },
            interface.mtu_bytes.to_string(),
            joined(&interface.addresses, "-"),
            joined(&interface.gateways, "-"),
            or_dash(interface.mac.clone()),
            or_dash(interface.driver.clone()),
        ]);
    }
    lines.push(String::new());
    lines.extend(table.lines());
    if let Some(seconds) = network.undone_in_s {
        lines.push(String::new());
        lines.extend(waits(seconds));
    }
    lines
}

fn waits(seconds: u64) -> [String; 2] {
    [
        format!(
            "This network is undone in {seconds} s unless \"set network confirm\" comes first:"
        ),
        "sign in at the new address and confirm it there.".to_owned(),
    ]
}

fn network_changed(changed: &NetworkChanged) -> Vec<String> {
    match changed.confirm_within_s {
        Some(seconds) => waits(seconds).to_vec(),
        None => vec!["Done; nothing waits for confirmation.".to_owned()],
    }
}

fn time(time: &Time) -> Vec<String> {
    Fields::default()
        .add("Time", &time.local)
        .add("Zone", &time.zone)
        .add("Servers", joined(&time.servers, "automatic"))
        .add("Followed", time.server_in_use.as_deref().unwrap_or("none"))
        .add("Synchronised", yes(time.is_synchronised))
        .lines()
}

fn sip(sip: &SipSettings) -> Vec<String> {
    Fields::default()
        .maybe("Trusted peers", sip.trusted.as_ref().map(|list| joined(list, "none")))
        .maybe("Digest", sip.digest.as_ref().map(|list| joined(list, "none")))
        .lines()
}

fn syslog(syslog: Option<&Syslog>) -> Vec<String> {
    let Some(syslog) = syslog else { return vec!["Logs are sent nowhere.".to_owned()] };
    Fields::default()
        .add("Server", format!("{} port {}", syslog.host, syslog.port))
        .add("Authorities", syslog.trusted_authorities.to_string())
        .add("Connected", yes(syslog.is_connected))
        .add("Lines sent", syslog.sent.to_string())
        .maybe("Fault", syslog.fault.as_deref())
        .lines()
}

fn files(files: &[File], zone: &Zone) -> Vec<String> {
    if files.is_empty() {
        return vec!["There are none.".to_owned()];
    }
    let mut table = Table::new(&["NAME", "SIZE", "WRITTEN"]);
    for file in files {
        table.row([file.name.clone(), size(file.size_bytes), zone.time(file.modified_unix_ms)]);
    }
    table.lines()
}
