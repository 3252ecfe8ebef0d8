//! The node itself as text.

use admin_api::answer::system::{
    Alarm, Capacity, Domain, Hardware, HardwareRule, Listener, NodeState, Service, ServiceState,
    Setting, SettingSource, Severity, Sip, Status, TechSupport, Version,
};

use super::text::{duration, or_dash, safe, size};
use super::{Fields, Table, Zone, log};

const fn node_state(state: NodeState) -> &'static str {
    match state {
        NodeState::Serving => "serving",
        NodeState::Degraded => "degraded: see \"show alarms\"",
        NodeState::NotServing => "not serving: see \"show alarms\"",
    }
}

const fn source(source: SettingSource) -> &'static str {
    match source {
        SettingSource::Default => "default",
        SettingSource::File => "configuration file",
        SettingSource::Administrator => "administrator",
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Major => "major",
        Severity::Minor => "minor",
    }
}

const fn service_state(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Starting => "starting",
        ServiceState::Running => "running",
        ServiceState::Degraded => "degraded",
        ServiceState::Stopped => "stopped",
    }
}

/// `used of total`, where both are known.
fn share(free: Option<u64>, total: Option<u64>) -> Option<String> {
    let (free, total) = (free?, total?);
    Some(format!("{} of {} free", size(free), size(total)))
}

fn listeners(listeners: &[Listener]) -> Vec<String> {
    let mut table = Table::new(&["TRANSPORT", "ADDRESS"]);
    for listener in listeners {
        table.row([listener.transport.clone(), listener.address.clone()]);
    }
    table.lines()
}

/// How the node is doing.
pub(crate) fn status(status: &Status, zone: &Zone) -> Vec<String> {
    let load = |hundredths: u64| format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let mut lines = Fields::default()
        .add("Host name", &status.host_name)
        .add("Domain", &status.domain)
        .add("Version", &status.version)
        .add("State", node_state(status.state))
        .add("Alarms", status.alarms.to_string())
        .add("Date", zone.time(status.now_unix_ms))
        .add("Started", zone.time(status.started_unix_ms))
        .add("Uptime", duration(status.uptime_s))
        .maybe("Machine uptime", status.machine_uptime_s.map(duration))
        .maybe("Load, last minute", status.load_1min_hundredths.map(load))
        .maybe("Memory", share(status.memory_available_bytes, status.memory_total_bytes))
        .maybe("Memory of the service", status.memory_resident_bytes.map(size))
        .maybe("Disk", share(status.disk_free_bytes, status.disk_total_bytes))
        .add(
            "Users",
            format!(
                "{}, {} enabled of {} at most",
                status.users, status.users_enabled, status.max_users
            ),
        )
        .add("Registrations", status.registrations.to_string())
        .add("Publications", status.publications.to_string())
        .add("Subscriptions", status.subscriptions.to_string())
        .add("Calls ringing", status.ringing_calls.to_string())
        .add("Connections", status.connections.to_string())
        .lines();
    lines.push(String::new());
    lines.extend(listeners(&status.listeners));
    lines
}

/// What is installed.
pub(crate) fn version(version: &Version) -> Vec<String> {
    Fields::default()
        .add("Product", &version.product)
        .add("Version", &version.version)
        .maybe("Commit", version.commit.as_deref())
        .add("Store format", version.store_format.to_string())
        .add("Control protocol", version.protocol.to_string())
        .lines()
}

/// The machine.
pub(crate) fn hardware(hardware: &Hardware) -> Vec<String> {
    let rule = match hardware.rule {
        HardwareRule::Mcs => "the firmware calls it an MCS",
        HardwareRule::OemEquivalent => "the firmware names a model that was sold as an MCS",
        HardwareRule::BySize => "by size",
        HardwareRule::TooSmall => "too small: services do not start",
    };
    let mut lines = Fields::default()
        .maybe("Vendor", hardware.vendor.as_deref())
        .maybe("Product", hardware.product.as_deref())
        .maybe("Serial number", hardware.serial.as_deref())
        .maybe("Firmware", hardware.firmware.as_deref())
        .maybe("Kernel", hardware.kernel.as_deref())
        .maybe("Processor", hardware.processor.as_deref())
        .maybe("Sockets", hardware.sockets.map(|count| count.to_string()))
        .add("Cores", hardware.cores.to_string())
        .maybe("Clock", hardware.clock_mhz.map(|clock| format!("{clock} MHz")))
        .add("Memory", size(hardware.memory_bytes))
        .add("Disk", size(hardware.disk_bytes))
        .add("Profile", &hardware.profile)
        .add("Class", hardware.class.as_deref().unwrap_or("none"))
        .add("Recognised", rule)
        .add("Because", &hardware.explanation)
        .lines();
    lines.extend(hardware.warnings.iter().map(|warning| format!("Warning: {}", safe(warning))));
    let mut table = Table::new(&["READ FROM", "VALUE"]);
    for reading in &hardware.readings {
        let value = reading.value.clone().unwrap_or_else(|| "(cannot be read)".to_owned());
        table.row([reading.source.clone(), value]);
    }
    lines.push(String::new());
    lines.extend(table.lines());
    lines
}

/// Limits and use.
pub(crate) fn capacity(capacity: &Capacity) -> Vec<String> {
    let mut lines = Fields::default()
        .add("Profile", &capacity.profile)
        .add("Class", capacity.class.as_deref().unwrap_or("none: the machine is too small"))
        .add(
            "Enabled users",
            format!("{} of {} at most", capacity.users_enabled, capacity.max_users),
        )
        .lines();
    if capacity.users_left_out_total > 0 {
        lines.push(format!(
            "Enabled but not served, because the machine is too small for all: {}",
            capacity.users_left_out_total
        ));
        lines.extend(capacity.users_left_out.iter().map(|id| format!("    {}", safe(id.as_str()))));
        let listed = u64::try_from(capacity.users_left_out.len()).unwrap_or(u64::MAX);
        let more = capacity.users_left_out_total.saturating_sub(listed);
        if more > 0 {
            lines.push(format!("    and {more} more, \"served: no\" in \"show users\""));
        }
    }
    let mut table = Table::new(&["LIMIT", "AT MOST", "USED", "REFUSED"]);
    for limit in &capacity.limits {
        table.row([
            limit.name.clone(),
            limit.limit.to_string(),
            or_dash(limit.used.map(|used| used.to_string())),
            or_dash(limit.refused.map(|refused| refused.to_string())),
        ]);
    }
    lines.push(String::new());
    lines.extend(table.lines());
    lines
}

/// Alarms, one paragraph each.
pub(crate) fn alarms(alarms: &[Alarm], zone: &Zone) -> Vec<String> {
    if alarms.is_empty() {
        return vec!["No alarms.".to_owned()];
    }
    let mut lines = Vec::new();
    for alarm in alarms {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let state = match alarm.cleared_unix_ms {
            Some(time) => format!("ended {}", zone.time(time)),
            None => "stands".to_owned(),
        };
        lines.push(format!("{} ({}, {state})", safe(&alarm.name), severity(alarm.severity)));
        let fields = Fields::default()
            .add("  What", &alarm.what)
            .add("  Where", &alarm.place)
            .add("  Next", &alarm.next)
            .add("  Since", zone.time(alarm.raised_unix_ms));
        let last = format!("{}, {} times in all", zone.time(alarm.last_unix_ms), alarm.count);
        lines.extend(fields.maybe("  Last", (alarm.count > 1).then_some(last)).lines());
    }
    lines
}

/// Settings.
pub(crate) fn settings(settings: &[Setting]) -> Vec<String> {
    let mut table = Table::new(&["SETTING", "VALUE", "FROM"]);
    for setting in settings {
        let from = source(setting.source).to_owned();
        let value = Some(setting.value.clone()).filter(|value| !value.is_empty());
        table.row([setting.name.clone(), or_dash(value), from]);
    }
    table.lines()
}

/// The SIP side.
pub(crate) fn sip(sip: &Sip) -> Vec<String> {
    let trusted = if sip.trusted.is_empty() { "none".to_owned() } else { sip.trusted.join(", ") };
    let mut lines =
        Fields::default().add("Domain", &sip.domain).add("Trusted peers", trusted).lines();
    lines.push(String::new());
    lines.extend(listeners(&sip.listeners));
    lines
}

/// The domain.
pub(crate) fn domain(domain: &Domain) -> Vec<String> {
    Fields::default().add("Domain", &domain.domain).add("From", source(domain.source)).lines()
}

/// Services.
pub(crate) fn services(services: &[Service], zone: &Zone) -> Vec<String> {
    let mut table = Table::new(&["SERVICE", "STATE", "SINCE", "REMARK"]);
    for service in services {
        table.row([
            service.name.clone(),
            service_state(service.state).to_owned(),
            zone.time(service.since_unix_ms),
            service.remark.clone().unwrap_or_default(),
        ]);
    }
    table.lines()
}

/// Everything support asks for first.
pub(crate) fn tech_support(report: &TechSupport, zone: &Zone) -> Vec<String> {
    let mut counters = Table::new(&["COUNTER", "VALUE"]);
    for counter in &report.counters {
        counters.row([counter.name.clone(), counter.value.to_string()]);
    }
    let log_lines = report.log_lines.iter().map(|line| log::line(line, zone)).collect();
    let chapters = [
        ("version", version(&report.version)),
        ("status", status(&report.status, zone)),
        ("hardware", hardware(&report.hardware)),
        ("capacity", capacity(&report.capacity)),
        ("services", services(&report.services, zone)),
        ("alarms", alarms(&report.alarms, zone)),
        ("settings", settings(&report.settings)),
        ("log levels", log::levels(&report.log_levels)),
        ("logs", log::inventory(&report.logs, zone)),
        ("counters", counters.lines()),
        ("newest log lines", log_lines),
    ];
    let mut lines = Vec::new();
    for (title, chapter) in chapters {
        lines.push(format!("==== {title} ===="));
        lines.extend(chapter);
        lines.push(String::new());
    }
    lines
}
