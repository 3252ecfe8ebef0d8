//! Answers as a daemon may give them, with matter that could upset a terminal.

use admin_api::answer::log::{LogInventory, LogLevel, LogLevels, LogLine};
use admin_api::answer::presence::{
    Basic, DevicePresence, Presence, Publication, Registration, Subscription, SubscriptionState,
};
use admin_api::answer::system::{
    Alarm, Capacity, Counter, Domain, Hardware, HardwareRule, Limit, Listener, NodeState, Reading,
    Service, ServiceState, Setting, SettingSource, Severity, Sip, Status, TechSupport, Version,
};
use admin_api::user_id::UserId;

const NOW: u64 = 1_795_000_000_000;

pub(crate) fn status() -> Status {
    Status {
        state: NodeState::Serving,
        host_name: "lamp1".to_owned(),
        domain: "example.test".to_owned(),
        version: "0.1.0".to_owned(),
        now_unix_ms: NOW,
        started_unix_ms: NOW - 90_061_000,
        uptime_s: 90_061,
        machine_uptime_s: Some(90_100),
        load_1min_hundredths: Some(7),
        memory_total_bytes: Some(4 << 30),
        memory_available_bytes: Some(3 << 30),
        memory_resident_bytes: Some(20 << 20),
        disk_total_bytes: Some(80 << 30),
        disk_free_bytes: Some(79 << 30),
        users: 3,
        users_enabled: 2,
        max_users: 500,
        registrations: 1,
        publications: 1,
        subscriptions: 1,
        ringing_calls: 2,
        connections: 0,
        alarms: 1,
        listeners: vec![listener()],
    }
}

fn listener() -> Listener {
    Listener { transport: "udp".to_owned(), address: "127.0.0.1:5060".to_owned() }
}

pub(crate) fn version() -> Version {
    Version {
        product: "Lamplight".to_owned(),
        version: "0.1.0".to_owned(),
        commit: None,
        store_format: 1,
        protocol: 1,
    }
}

pub(crate) fn hardware() -> Hardware {
    Hardware {
        vendor: Some("IBM".to_owned()),
        product: Some("System x3650 M2 -[7947AC1]-".to_owned()),
        serial: None,
        firmware: None,
        kernel: None,
        processor: Some("Intel Xeon E5504".to_owned()),
        sockets: Some(1),
        cores: 4,
        clock_mhz: Some(2_000),
        memory_bytes: 4 << 30,
        disk_bytes: 146_000_000_000,
        profile: "mcs-7835-i3".to_owned(),
        class: Some("7835".to_owned()),
        rule: HardwareRule::OemEquivalent,
        explanation: "an x3650 M2 with one CPU was sold as MCS-7835-I3".to_owned(),
        readings: vec![Reading {
            source: "/sys/class/dmi/id/product_name".to_owned(),
            value: Some("System x3650 M2 -[7947AC1]-".to_owned()),
        }],
        warnings: vec!["the disk is small".to_owned()],
    }
}

pub(crate) fn capacity() -> Capacity {
    Capacity {
        profile: "mcs-7835-i3".to_owned(),
        class: Some("7835".to_owned()),
        max_users: 500,
        users_enabled: 2,
        users_left_out: vec![UserId::from("zoe")],
        users_left_out_total: 1,
        limits: vec![Limit {
            name: "subscriptions per user".to_owned(),
            limit: 1_000,
            used: Some(12),
            refused: None,
        }],
    }
}

fn publication() -> Publication {
    Publication {
        package: "presence".to_owned(),
        entity_tag: "b1f2".to_owned(),
        expires_in_s: 3_000,
        size_bytes: 737,
        changed_unix_ms: Some(NOW),
        source: Some("udp 192.0.2.7:5060".to_owned()),
    }
}

pub(crate) fn presence(id: &UserId) -> Presence {
    Presence {
        id: id.clone(),
        aor: format!("sip:{id}@example.test"),
        basic: Basic::Open,
        state: "phone".to_owned(),
        decided_by: Some("a desk phone".to_owned()),
        activities: vec!["on-the-phone".to_owned()],
        notes: vec!["back\u{1b}[2Jat \u{202e}noon".to_owned()],
        devices: vec![DevicePresence {
            tuple: "t1".to_owned(),
            device: None,
            basic: Basic::Open,
            contact: Some("sip:anna@192.0.2.7".to_owned()),
            means: vec!["audio".to_owned(), "text".to_owned()],
            note: None,
        }],
        publications: vec![publication()],
        document_xml: "<presence>\n  <note>\u{1b}[2J</note>\n</presence>".to_owned(),
    }
}

pub(crate) fn registration(id: &str) -> Registration {
    Registration {
        id: UserId::from(id),
        contact: "sip:anna@192.0.2.7:5060".to_owned(),
        q_thousandths: 500,
        expires_in_s: 3_599,
        refreshed_unix_ms: Some(NOW),
        source: Some("udp 192.0.2.7:5060".to_owned()),
        user_agent: Some("phone\u{7}".to_owned()),
        capabilities: vec!["audio".to_owned()],
        path: Vec::new(),
    }
}

pub(crate) fn subscription(presentity: &str) -> Subscription {
    Subscription {
        presentity: format!("sip:{presentity}@example.test"),
        watcher: "sip:bert@example.test".to_owned(),
        package: "presence".to_owned(),
        state: SubscriptionState::Active,
        expires_in_s: 1_800,
        since_unix_ms: Some(NOW),
        destination: Some("udp 192.0.2.8:5060".to_owned()),
        call_id: "a84b4c76e66710".to_owned(),
        notify_cseq: 3,
        is_notify_due: false,
    }
}

pub(crate) fn alarms() -> Vec<Alarm> {
    vec![Alarm {
        name: "capacity-exceeded".to_owned(),
        severity: Severity::Major,
        raised_unix_ms: NOW - 60_000,
        last_unix_ms: NOW,
        count: 2,
        cleared_unix_ms: None,
        what: "the user zoe is over the limit of 500 users".to_owned(),
        place: "user zoe".to_owned(),
        next: "disable users or move to a larger machine".to_owned(),
    }]
}

pub(crate) fn settings() -> Vec<Setting> {
    vec![Setting {
        name: "domain".to_owned(),
        value: "example.test".to_owned(),
        source: SettingSource::File,
    }]
}

pub(crate) fn sip() -> Sip {
    Sip {
        domain: "example.test".to_owned(),
        listeners: vec![listener()],
        trusted: vec!["192.0.2.0/24".to_owned()],
    }
}

pub(crate) fn domain() -> Domain {
    Domain { domain: "example.test".to_owned(), source: SettingSource::File }
}

pub(crate) fn services() -> Vec<Service> {
    vec![Service {
        name: "presence".to_owned(),
        state: ServiceState::Running,
        since_unix_ms: NOW,
        remark: None,
    }]
}

pub(crate) fn log_line(sequence: u64, text: &str) -> LogLine {
    LogLine {
        sequence,
        at_unix_ms: NOW + sequence,
        level: LogLevel::Info,
        area: "subscription".to_owned(),
        text: text.to_owned(),
    }
}

pub(crate) fn inventory(lines: &[LogLine]) -> Vec<LogInventory> {
    vec![LogInventory {
        name: "presence".to_owned(),
        lines: u64::try_from(lines.len()).unwrap(),
        max_lines: 10_000,
        size_bytes: 4_096,
        oldest_unix_ms: lines.first().map(|line| line.at_unix_ms),
        newest_unix_ms: lines.last().map(|line| line.at_unix_ms),
    }]
}

pub(crate) fn tech_support(log_levels: LogLevels, log_lines: Vec<LogLine>) -> TechSupport {
    TechSupport {
        version: version(),
        status: status(),
        hardware: hardware(),
        capacity: capacity(),
        services: services(),
        alarms: alarms(),
        settings: settings(),
        log_levels,
        logs: inventory(&log_lines),
        counters: vec![Counter { name: "sip_requests_total".to_owned(), value: 42 }],
        log_lines,
    }
}
