//! Every answer that `platformd` gives to the CLI.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::backup::{BackupFile, Backups};
use super::settings::{Ipv4Settings, Ipv6Settings, SipSettings};
use super::tool::ToolOutput;
use super::upgrade::Upgrade;
use crate::answer::log::{LogInventory, LogLines};
use crate::answer::system::{Hardware, Service};

/// An answer; its JSON is an object with one member named after the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done, and on disk.
    Done,
    /// To `ShowPlatform`.
    Platform(Box<Platform>),
    /// To `StartRecovery` and `ShowRecovery`.
    Recovery(Recovery),
    /// To `ListSshKeys`, `AddSshKey` and `DeleteSshKey`: the keys as they now are.
    SshKeys(Vec<SshKey>),
    /// To `ShowNetwork`.
    Network(Box<Network>),
    /// To requests that change the network.
    NetworkChanged(NetworkChanged),
    /// To requests about time.
    Time(Time),
    /// To `ListTimeZones`.
    TimeZones(Vec<String>),
    /// To `SetSip` and `ShowSip`: everything present.
    Sip(SipSettings),
    /// To `ShowSyslog` and `SetSyslog`.
    Syslog(Option<Syslog>),
    /// To `ListServices`.
    Services(Vec<Service>),
    /// To `ListLogs`.
    Logs(Vec<LogInventory>),
    /// To `ReadLog`.
    LogLines(LogLines),
    /// To `ListFiles`, in order of name.
    Files(Vec<File>),
    /// To `ReadFile`.
    FilePart(FilePart),
    /// To `ShowUpgrade`, `InstallUpgrade` and `CancelUpgrade`.
    Upgrade(Upgrade),
    /// To requests about backups.
    Backups(Box<Backups>),
    /// To `ListBackups`, in order of name.
    BackupFiles(Vec<BackupFile>),
    /// To `ShowTrust` and `SetTrust`.
    Trust {
        /// The fingerprints of the certificates that are believed.
        certificates: Vec<String>,
    },
    /// To `ShowClientKey`.
    ClientKey {
        /// One line, as `authorized_keys` has it.
        key: String,
    },
    /// To `StartTool`, `ReadTool` and `StopTool`.
    ToolOutput(ToolOutput),
}

/// The machine and the software on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Whether the first start's questions are answered.
    pub is_set_up: bool,
    /// Why an answer file that was found could not be followed.
    pub answer_file_fault: Option<String>,
    /// The host's name.
    pub host_name: String,
    /// The SIP domain, once set up.
    pub domain: Option<String>,
    /// The product's version.
    pub version: String,
    /// The slot that runs: `A` or `B`; absent where there are none.
    pub slot: Option<String>,
    /// The machine and how it was recognised.
    pub hardware: Hardware,
    /// The machine's UUID, as the firmware has it.
    pub uuid: Option<String>,
    /// From the kernel's start until SIP was answered; absent as long as it is not.
    pub kernel_to_sip_ms: Option<u64>,
    /// Addresses at which the machine can be reached.
    pub addresses: Vec<IpAddr>,
    /// What an administrator should know: no data partition, services that do not start.
    pub warnings: Vec<String>,
}

/// How far replacing a lost password has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Whether a disk was attached since, so that the password may be replaced.
    pub is_proven: bool,
    /// How long it may still be done.
    pub remaining_s: u64,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshKey {
    /// `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as OpenSSH prints it.
    pub fingerprint: String,
    /// What stood behind the key.
    pub comment: String,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The host's name.
    pub host_name: String,
    /// As set.
    pub ipv4: Ipv4Settings,
    /// As set.
    pub ipv6: Ipv6Settings,
    /// As set.
    pub name_servers: Vec<IpAddr>,
    /// As set, in bytes.
    pub mtu_bytes: Option<u32>,
    /// As they are, the served one first.
    pub interfaces: Vec<Interface>,
    /// In use.
    pub name_servers_in_use: Vec<IpAddr>,
    /// Seconds until an unconfirmed change is undone.
    pub undone_in_s: Option<u64>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// `eth0`.
    pub name: String,
    /// `52:54:00:12:34:56`.
    pub mac: Option<String>,
    /// Its driver: `bnx2`.
    pub driver: Option<String>,
    /// Whether there is a link.
    pub has_link: bool,
    /// In Mbit/s, where it says.
    pub speed_mbit: Option<u32>,
    /// In bytes.
    pub mtu_bytes: u32,
    /// `192.0.2.5/24`.
    pub addresses: Vec<String>,
    /// Ways out through it.
    pub gateways: Vec<IpAddr>,
    /// Whether the appliance serves on it.
    pub is_served: bool,
}

/// What became of a change to the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkChanged {
    /// Seconds within which `ConfirmNetwork` must come; absent when nothing waits for it.
    pub confirm_within_s: Option<u64>,
}

/// The clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Now.
    pub now_unix_ms: u64,
    /// Now, as people there write it: `2026-03-01 14:05:09 CET`.
    pub local: String,
    /// `Europe/Berlin`.
    pub zone: String,
    /// As set.
    pub servers: Vec<String>,
    /// The one that is followed.
    pub server_in_use: Option<String>,
    /// Whether the clock follows it.
    pub is_synchronised: bool,
}

/// Where logs are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syslog {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How many authorities its certificate may come from.
    pub trusted_authorities: u64,
    /// Whether there is a connection.
    pub is_connected: bool,
    /// Lines sent since the start.
    pub sent: u64,
    /// Why the last attempt failed.
    pub fault: Option<String>,
}

/// A file of an area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was last written.
    pub modified_unix_ms: u64,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePart {
    /// Its octets in Base64 (RFC 4648 §4).
    pub base64: String,
    /// The file's size.
    pub size_bytes: u64,
}
