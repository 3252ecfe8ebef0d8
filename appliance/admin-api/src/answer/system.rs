//! The node itself: state, version, machine, capacity, alarms, settings, services.

use serde::{Deserialize, Serialize};

use crate::answer::log::{LogInventory, LogLevels, LogLine};
use crate::user_id::UserId;

/// Whether the node does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// All is well.
    Serving,
    /// It serves, but something is wrong: see the alarms.
    Degraded,
    /// It does not serve: see the alarms.
    NotServing,
}

/// How the node is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether it does its work.
    pub state: NodeState,
    /// The host's name.
    pub host_name: String,
    /// The domain that is served.
    pub domain: String,
    /// The product's version.
    pub version: String,
    /// The node's clock.
    pub now_unix_ms: u64,
    /// When the daemon started.
    pub started_unix_ms: u64,
    /// How long the daemon has been running.
    pub uptime_s: u64,
    /// How long the machine has been running.
    pub machine_uptime_s: Option<u64>,
    /// Load average of the last minute, in hundredths.
    pub load_1min_hundredths: Option<u64>,
    /// Memory of the machine.
    pub memory_total_bytes: Option<u64>,
    /// Memory that is free or can be freed.
    pub memory_available_bytes: Option<u64>,
    /// Memory of the daemon.
    pub memory_resident_bytes: Option<u64>,
    /// The disk that holds the data.
    pub disk_total_bytes: Option<u64>,
    /// What is free on it.
    pub disk_free_bytes: Option<u64>,
    /// All users.
    pub users: u64,
    /// Enabled users.
    pub users_enabled: u64,
    /// How many enabled users the machine may have.
    pub max_users: u64,
    /// Bindings.
    pub registrations: u64,
    /// Publications.
    pub publications: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Calls that were passed on and have no final answer: a restart loses these, while those that
    /// were answered go on.
    pub ringing_calls: u64,
    /// Open TCP, TLS and WebSocket connections.
    pub connections: u64,
    /// Alarms that stand.
    pub alarms: u64,
    /// Where SIP is listened for.
    pub listeners: Vec<Listener>,
}

/// A socket that is listened on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `udp`, `tcp`, `tls`, `ws`, `https`.
    pub transport: String,
    /// Address and port.
    pub address: String,
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The product's name.
    pub product: String,
    /// The product's version.
    pub version: String,
    /// The commit it was built from, when known.
    pub commit: Option<String>,
    /// The format in which data is stored.
    pub store_format: u32,
    /// The version of this protocol.
    pub protocol: u32,
}

/// Which rule recognised the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HardwareRule {
    /// The firmware calls it an MCS.
    Mcs,
    /// The firmware names a model that was sold as an MCS.
    OemEquivalent,
    /// Unknown model: classed by cores, memory and disk.
    BySize,
    /// Below the smallest class: services do not start.
    TooSmall,
}

/// The machine and how it was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// The vendor, as the firmware has it.
    pub vendor: Option<String>,
    /// The product, as the firmware has it.
    pub product: Option<String>,
    /// The serial number, as the firmware has it.
    pub serial: Option<String>,
    /// The firmware's version.
    pub firmware: Option<String>,
    /// Name and version of the kernel.
    pub kernel: Option<String>,
    /// The processor's name.
    pub processor: Option<String>,
    /// Processor sockets.
    pub sockets: Option<u32>,
    /// Cores that are online.
    pub cores: u32,
    /// Clock of a core.
    pub clock_mhz: Option<u32>,
    /// Memory.
    pub memory_bytes: u64,
    /// The disk that holds the data.
    pub disk_bytes: u64,
    /// The profile that matched: `mcs-7845-i3`, `generic`.
    pub profile: String,
    /// The capacity class: `7845`; absent when too small.
    pub class: Option<String>,
    /// Which rule decided.
    pub rule: HardwareRule,
    /// Why, in a sentence or two.
    pub explanation: String,
    /// What was read, and where.
    pub readings: Vec<Reading>,
    /// What is amiss: a claim that the resources do not carry, a missing minimum.
    pub warnings: Vec<String>,
}

/// Something read from the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Where: `/sys/class/dmi/id/product_name`.
    pub source: String,
    /// What stood there; absent when it could not be read.
    pub value: Option<String>,
}

/// Limits and how much of them is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// The profile that sets them.
    pub profile: String,
    /// The capacity class; absent when the machine is too small.
    pub class: Option<String>,
    /// How many enabled users there may be.
    pub max_users: u64,
    /// How many there are.
    pub users_enabled: u64,
    /// Enabled users who are not served because the machine is too small for all, in order of
    /// their creation; the first 1,000.
    pub users_left_out: Vec<UserId>,
    /// How many are left out.
    pub users_left_out_total: u64,
    /// The other limits.
    pub limits: Vec<Limit>,
}

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited: `subscriptions per user`.
    pub name: String,
    /// The limit.
    pub limit: u64,
    /// How much of it is used (of a limit per user: by the user who uses most), when counted.
    pub used: Option<u64>,
    /// How often something was refused because of it since the start, when counted.
    pub refused: Option<u64>,
}

/// How bad an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Service is lost or will be soon.
    Critical,
    /// Service suffers.
    Major,
    /// Someone should look at it.
    Minor,
}

/// Something that an administrator should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name: `capacity-exceeded`, `store-slow`.
    pub name: String,
    /// How bad.
    pub severity: Severity,
    /// When it was raised.
    pub raised_unix_ms: u64,
    /// When it last happened again.
    pub last_unix_ms: u64,
    /// How often it has happened since it was raised.
    pub count: u64,
    /// When it ended; absent while it stands.
    pub cleared_unix_ms: Option<u64>,
    /// What happened.
    pub what: String,
    /// Where.
    #[serde(rename = "where")]
    pub place: String,
    /// What to do next.
    pub next: String,
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// Built in.
    Default,
    /// The configuration file.
    File,
    /// Set by an administrator; kept in the store.
    Administrator,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name: `sip.listen`.
    pub name: String,
    /// Its value; of a secret only whether it is set.
    pub value: String,
    /// Where the value comes from.
    pub source: SettingSource,
}

/// The SIP side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sip {
    /// The domain that is served.
    pub domain: String,
    /// Where SIP is listened for.
    pub listeners: Vec<Listener>,
    /// Peers exempt from digest: `192.0.2.0/24`.
    pub trusted: Vec<String>,
}

/// The domain that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name.
    pub domain: String,
    /// Where the value comes from.
    pub source: SettingSource,
}

/// How a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It is on its way up.
    Starting,
    /// It runs.
    Running,
    /// It runs with a fault.
    Degraded,
    /// It does not run.
    Stopped,
}

/// A part of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name: `presence`, `store`, `sip-udp`, `http`.
    pub name: String,
    /// How it runs.
    pub state: ServiceState,
    /// Since when.
    pub since_unix_ms: u64,
    /// What else there is to say.
    pub remark: Option<String>,
}

/// A counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Its name, as in `/metrics`.
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// Everything support asks for first; free of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TechSupport {
    /// What is installed.
    pub version: Version,
    /// How the node is doing.
    pub status: Status,
    /// The machine.
    pub hardware: Hardware,
    /// Limits and use.
    pub capacity: Capacity,
    /// The parts.
    pub services: Vec<Service>,
    /// Alarms.
    pub alarms: Vec<Alarm>,
    /// Settings.
    pub settings: Vec<Setting>,
    /// Log levels.
    pub log_levels: LogLevels,
    /// Logs.
    pub logs: Vec<LogInventory>,
    /// All counters, in order of name.
    pub counters: Vec<Counter>,
    /// The newest lines of the log, oldest first (a few hundred).
    pub log_lines: Vec<LogLine>,
}
