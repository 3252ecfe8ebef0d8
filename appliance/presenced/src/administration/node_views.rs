//! The node as an administrator sees it.

use admin_api::answer::system::{
    Capacity, Counter, Domain, Limit, Listener, NodeState, Service, ServiceState, Setting,
    SettingSource, Sip, Status, TechSupport, Version,
};
use admin_api::refusal::Refusal;
use presence::command::{Answer, Command, Page};

use super::machine::{self, Readings};
use super::{ask, unanswered, unexpected};
use crate::alarm::AlarmKind;
use crate::clock::unix_millis;
use crate::log::LOG_NAME;
use crate::node::Node;

/// Log lines in `show tech-support`.
const SUPPORT_LINES: usize = 500;
/// Users left out that are named.
const NAMED_LEFT_OUT: usize = 1_000;
/// Users that one question to the server brings.
const USERS_A_PAGE: usize = 1_000;

/// What is installed.
pub(super) fn version() -> Version {
    Version {
        product: "Lamplight".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("LAMPLIGHT_COMMIT").map(ToOwned::to_owned),
        store_format: presence::record::FORMAT.into(),
        protocol: admin_api::wire::VERSION,
    }
}

/// How the node is doing.
pub(super) async fn status(node: &Node) -> Result<Status, Refusal> {
    let totals = node.totals().await.map_err(unanswered)?;
    let readings = Readings::take(&node.settings().data_dir);
    let now = unix_millis();
    let standing = node.alarms.standing();
    Ok(Status {
        state: match (&node.facts.machine.too_small, standing.is_empty()) {
            (Some(_), _) => NodeState::NotServing,
            (None, true) => NodeState::Serving,
            (None, false) => NodeState::Degraded,
        },
        host_name: machine::host_name(),
        domain: node.settings().domain.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now_unix_ms: now,
        started_unix_ms: node.facts.started_unix_ms,
        uptime_s: now.saturating_sub(node.facts.started_unix_ms) / 1_000,
        machine_uptime_s: readings.uptime_s,
        load_1min_hundredths: readings.load_hundredths,
        memory_total_bytes: readings.memory_total_bytes,
        memory_available_bytes: readings.memory_available_bytes,
        memory_resident_bytes: readings.resident_bytes,
        disk_total_bytes: readings.disk_total_bytes,
        disk_free_bytes: readings.disk_free_bytes,
        users: totals.users.into(),
        users_enabled: totals.enabled_users.into(),
        max_users: totals.max_users.into(),
        registrations: number(totals.bindings),
        publications: number(totals.publications),
        subscriptions: number(totals.subscriptions),
        ringing_calls: number(totals.ringing_calls),
        connections: number(node.admission.open()),
        alarms: number(standing.len()),
        listeners: listeners(node),
    })
}

fn listeners(node: &Node) -> Vec<Listener> {
    node.facts
        .listeners
        .iter()
        .map(|(transport, address)| Listener {
            transport: (*transport).to_owned(),
            address: address.to_string(),
        })
        .collect()
}

/// Limits and their use.
pub(super) async fn capacity(node: &Node) -> Result<Capacity, Refusal> {
    let totals = node.totals().await.map_err(unanswered)?;
    let hardware = &node.facts.machine.hardware;
    let left_out = if totals.unserved_users == 0 { Vec::new() } else { left_out(node).await? };
    let limits = &node.facts.limits;
    let per_user = |name: &str, limit| Limit {
        name: name.to_owned(),
        limit: number(limit),
        used: None,
        refused: None,
    };
    Ok(Capacity {
        profile: hardware.profile.clone(),
        class: hardware.class.clone(),
        max_users: totals.max_users.into(),
        users_enabled: totals.enabled_users.into(),
        users_left_out: left_out,
        users_left_out_total: totals.unserved_users.into(),
        limits: vec![
            per_user("devices per user", limits.bindings_per_user),
            per_user("publications per user", limits.publications_per_user),
            per_user("subscriptions per user", limits.subscriptions_per_watcher),
            Limit {
                name: "subscriptions".to_owned(),
                limit: number(limits.subscriptions),
                used: Some(number(totals.subscriptions)),
                refused: None,
            },
            Limit {
                name: "transactions".to_owned(),
                limit: number(limits.transactions),
                used: Some(number(totals.transactions)),
                refused: None,
            },
            Limit {
                name: "connections".to_owned(),
                limit: number(node.admission.max_total()),
                used: Some(number(node.admission.open())),
                refused: Some(node.admission.refused()),
            },
            per_user("connections per address", node.settings().sip.max_connections_per_peer),
        ],
    })
}

async fn left_out(node: &Node) -> Result<Vec<admin_api::user_id::UserId>, Refusal> {
    let mut left_out = Vec::new();
    let mut after = String::new();
    loop {
        let page = Page { after: after.clone(), limit: USERS_A_PAGE };
        let (users, has_more) = match ask(node, Command::ListUsers(page)).await? {
            Answer::Users(users, has_more) => (users, has_more),
            other => return Err(unexpected(&other)),
        };
        if let Some(last) = users.last() {
            after.clone_from(&last.id);
        }
        left_out.extend(users.into_iter().filter(|user| user.enabled && !user.is_served));
        if !has_more {
            break;
        }
    }
    left_out.sort_by_key(|user| user.created);
    left_out.truncate(NAMED_LEFT_OUT);
    Ok(left_out.into_iter().map(|user| user.id.into()).collect())
}

/// The settings in force.
pub(super) fn settings(node: &Node) -> Vec<Setting> {
    let settings = &node.settings();
    let listen: Vec<_> = settings
        .sip
        .listen
        .iter()
        .map(|l| format!("{}:{}", l.transport.uri_token(), l.address))
        .collect();
    let digest: Vec<_> = settings.sip.digest.iter().map(|a| a.token()).collect();
    let (certificate, key) = match &settings.tls.identity {
        Some((certificate, key)) => (certificate.display().to_string(), key.display().to_string()),
        None => ("made by the node".to_owned(), "made by the node".to_owned()),
    };
    let trust = settings.tls.trust.as_ref().map(|path| path.display().to_string());
    let values = [
        ("control.group", settings.control.group.clone().unwrap_or_default()),
        ("control.socket", settings.control.socket.display().to_string()),
        ("data_dir", settings.data_dir.display().to_string()),
        ("domain", settings.domain.clone()),
        ("http.listen", settings.http_listen.to_string()),
        ("log.format", if settings.log.json { "json" } else { "text" }.to_owned()),
        ("log.level", settings.log.level.to_string().to_ascii_lowercase()),
        ("platform.dmi_dir", settings.dmi_dir.display().to_string()),
        ("sip.digest", digest.join(" ")),
        ("sip.listen", listen.join(" ")),
        ("sip.max_connections", settings.sip.max_connections.to_string()),
        ("sip.max_connections_per_peer", settings.sip.max_connections_per_peer.to_string()),
        ("sip.trusted", trusted(node).join(" ")),
        ("tls.certificate", certificate),
        ("tls.key", key),
        ("tls.trust", trust.unwrap_or_default()),
    ];
    values
        .into_iter()
        .map(|(name, value)| {
            let is_written = settings.written.contains(name);
            let source = if is_written { SettingSource::File } else { SettingSource::Default };
            Setting { name: name.to_owned(), value, source }
        })
        .collect()
}

fn trusted(node: &Node) -> Vec<String> {
    let settings = node.settings();
    let blocks = &settings.sip.trusted;
    blocks.iter().map(|block| format!("{}/{}", block.address, block.prefix)).collect()
}

/// The SIP side.
pub(super) fn sip(node: &Node) -> Sip {
    let mut listeners = listeners(node);
    listeners.retain(|listener| listener.transport != "https");
    Sip { domain: node.settings().domain.clone(), listeners, trusted: trusted(node) }
}

/// The domain.
pub(super) fn domain(node: &Node) -> Domain {
    Domain { domain: node.settings().domain.clone(), source: SettingSource::File }
}

/// The parts of the daemon.
pub(super) fn services(node: &Node) -> Vec<Service> {
    let since_unix_ms = node.facts.started_unix_ms;
    let service = |name: &str, fault: Option<AlarmKind>, remark: Option<String>| Service {
        name: name.to_owned(),
        state: match fault {
            Some(AlarmKind::HardwareTooSmall) => ServiceState::Stopped,
            Some(_) => ServiceState::Degraded,
            None => ServiceState::Running,
        },
        since_unix_ms,
        remark: fault.map(|kind| format!("alarm {}", kind.name())).or(remark),
    };
    let fault_of =
        |kinds: &[AlarmKind]| kinds.iter().copied().find(|kind| node.alarms.is_raised(*kind));
    let store = fault_of(&[
        AlarmKind::StoreFailed,
        AlarmKind::StoreSlow,
        AlarmKind::StoreBehind,
        AlarmKind::SnapshotFailed,
    ]);
    let mut services = vec![
        service(
            "presence",
            fault_of(&[AlarmKind::HardwareTooSmall, AlarmKind::InternalError]),
            None,
        ),
        service("store", store, None),
    ];
    let streams = fault_of(&[AlarmKind::ConnectionsExhausted]);
    for (transport, address) in &node.facts.listeners {
        let is_stream = matches!(*transport, "tcp" | "tls");
        let name = match *transport {
            "https" => "http".to_owned(),
            other => format!("sip-{other}"),
        };
        services.push(service(&name, streams.filter(|_| is_stream), Some(address.to_string())));
    }
    services
}

/// Everything support asks for first.
pub(super) async fn tech_support(node: &Node) -> Result<TechSupport, Refusal> {
    let reading = node.reading().await.map_err(unanswered)?;
    let counters =
        reading.by_name().into_iter().map(|(name, value)| Counter { name, value }).collect();
    let mut logs = vec![node.log.inventory()];
    logs.sort_by(|a, b| a.name.cmp(&b.name));
    debug_assert!(logs.iter().any(|log| log.name == LOG_NAME));
    Ok(TechSupport {
        version: version(),
        status: status(node).await?,
        hardware: node.facts.machine.hardware.clone(),
        capacity: capacity(node).await?,
        services: services(node),
        alarms: node.alarms.list(),
        settings: settings(node),
        log_levels: node.log.levels(),
        logs,
        counters,
        log_lines: node.log.newest(SUPPORT_LINES),
    })
}

fn number(amount: usize) -> u64 {
    amount.try_into().unwrap_or(u64::MAX)
}
