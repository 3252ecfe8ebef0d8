//! Every question that the CLI may put to `platformd`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backup::{BackupPlace, BackupSchedule, BackupSource};
use super::settings::{Ipv4Settings, Ipv6Settings, SetUp, SipSettings, SyslogSettings};
use super::tool::Tool;
use super::upgrade::UpgradeSource;
use crate::request::LogQuery;
use crate::secret::Secret;

/// The longest that [`Request::ReadTool`] makes the daemon wait; more is brought down to it.
pub const MAX_TOOL_WAIT_MS: u64 = 10_000;

/// The most bytes that one [`Request::ReadFile`] gives; a larger `limit_bytes` is brought down
/// to it.
pub const MAX_FILE_PART_BYTES: u32 = 256 * 1024;

/// Files that an administrator may see, by what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileArea {
    /// What `utils network capture` wrote.
    Capture,
    /// What an administrator left for an upgrade or an import.
    Upload,
    /// Backups that were made here.
    Backup,
}

/// A question. Each variant says which [`Answer`](super::answer::Answer) it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The machine, the slot, whether the appliance is set up, how long the start took →
    /// `Answer::Platform`.
    ShowPlatform,
    /// Sets the appliance up; refused as `already_set_up` once that was done → `Answer::Done`.
    SetUp(Box<SetUp>),
    /// Whether this is the administrator's password, for the console → `Answer::Done`, or refused
    /// as `not_permitted`; wrong ones are answered later and later.
    CheckPassword {
        /// What was typed.
        password: Secret,
    },
    /// Replaces the administrator's password → `Answer::Done`.
    SetPassword {
        /// The one in force.
        current: Secret,
        /// The one to come.
        new: Secret,
    },
    /// At the console: begins to replace a lost password. Whoever asks proves to stand at the
    /// machine (or its hypervisor) by attaching a disk afterwards → `Answer::Recovery`.
    StartRecovery,
    /// How far that has come → `Answer::Recovery`.
    ShowRecovery,
    /// Replaces the lost password once presence is proven → `Answer::Done`.
    FinishRecovery {
        /// The one to come.
        new: Secret,
    },
    /// Public keys that may sign in over SSH → `Answer::SshKeys`.
    ListSshKeys,
    /// Lets a public key sign in → `Answer::SshKeys`.
    AddSshKey {
        /// One line as in `authorized_keys`, without options.
        key: String,
    },
    /// Lets it no longer → `Answer::SshKeys`.
    DeleteSshKey {
        /// Its SHA-256 fingerprint as the list gives it.
        fingerprint: String,
    },
    /// Interfaces, addresses, routes, name servers, as set and as they are → `Answer::Network`.
    ShowNetwork,
    /// How IPv4 is set up. Applied at once, and undone unless confirmed in time →
    /// `Answer::NetworkChanged`.
    SetIpv4(Ipv4Settings),
    /// How IPv6 is set up. As above.
    SetIpv6(Ipv6Settings),
    /// Name servers; none leaves them to DHCP. As above.
    SetNameServers {
        /// Addresses, in order of preference; three at most.
        servers: Vec<std::net::IpAddr>,
    },
    /// The interface's MTU; none leaves it to the interface. As above.
    SetMtu {
        /// In bytes, 576 to 9,216; 1,280 at least with IPv6.
        mtu_bytes: Option<u32>,
    },
    /// Keeps a changed network → `Answer::NetworkChanged`.
    ConfirmNetwork,
    /// Undoes a changed network at once → `Answer::NetworkChanged`.
    RevertNetwork,
    /// The host's name → `Answer::Done`.
    SetHostName {
        /// One label of RFC 1123.
        host_name: String,
    },
    /// Clock, zone, time servers and how well they are followed → `Answer::Time`.
    ShowTime,
    /// The time zone, as in the IANA database → `Answer::Time`.
    SetTimeZone {
        /// `Europe/Berlin`.
        zone: String,
    },
    /// The zones there are → `Answer::TimeZones`.
    ListTimeZones,
    /// Time servers; none leaves them to DHCP and then stops following → `Answer::Time`.
    SetTimeServers {
        /// Names or addresses; four at most.
        servers: Vec<String>,
    },
    /// Sets the clock by hand; refused while time servers are followed → `Answer::Time`.
    SetClock {
        /// What it is now.
        now_unix_ms: u64,
    },
    /// The SIP domain; `presenced` is restarted → `Answer::Done`.
    SetDomain {
        /// A name.
        domain: String,
    },
    /// SIP settings that apply without a restart → `Answer::Sip`.
    SetSip(SipSettings),
    /// These settings → `Answer::Sip`.
    ShowSip,
    /// Where logs are sent → `Answer::Syslog`.
    ShowSyslog,
    /// Sends logs there; absent: nowhere → `Answer::Syslog`.
    SetSyslog {
        /// Where.
        syslog: Option<Box<SyslogSettings>>,
    },
    /// The programs of the appliance and how they run → `Answer::Services`.
    ListServices,
    /// Restarts one of them → `Answer::Done`.
    RestartService {
        /// As the list names it.
        name: String,
    },
    /// The logs of the journal → `Answer::Logs`.
    ListLogs,
    /// Lines of the journal → `Answer::LogLines`.
    ReadLog(LogQuery),
    /// Files of an area → `Answer::Files`.
    ListFiles {
        /// Which.
        area: FileArea,
    },
    /// A part of a file → `Answer::FilePart`.
    ReadFile {
        /// Where.
        area: FileArea,
        /// Its name, without any directory.
        name: String,
        /// From which byte.
        offset: u64,
        /// How many bytes at most; see [`MAX_FILE_PART_BYTES`].
        limit_bytes: u32,
    },
    /// Deletes a file → `Answer::Done`.
    DeleteFile {
        /// Where.
        area: FileArea,
        /// Its name, without any directory.
        name: String,
    },
    /// Adds a part to a file of the upload area; its first part makes it anew → `Answer::Done`.
    WriteUpload {
        /// The file's name, without any directory.
        name: String,
        /// Where the part begins: the size of what is there already.
        offset: u64,
        /// Its octets in Base64 (RFC 4648 §4), [`MAX_FILE_PART_BYTES`] of them at most.
        base64: String,
    },
    /// The slots, and how far an installation is → `Answer::Upgrade`.
    ShowUpgrade,
    /// Checks a bundle and installs it into the slot that does not run → `Answer::Upgrade`.
    InstallUpgrade(UpgradeSource),
    /// Ends an installation → `Answer::Upgrade`.
    CancelUpgrade,
    /// Restarts the machine from the other slot → `Answer::Done`, and then it happens.
    SwitchVersion,
    /// What is to be known of backups → `Answer::Backups`.
    ShowBackups,
    /// What backups are encrypted with from now on; none makes none any more → `Answer::Backups`.
    SetBackupPassphrase {
        /// Twelve characters at least.
        passphrase: Option<Secret>,
    },
    /// When backups are made by themselves → `Answer::Backups`.
    SetBackupSchedule {
        /// None for never.
        schedule: Option<BackupSchedule>,
    },
    /// Makes a backup → `Answer::Backups`, and then it is made.
    CreateBackup(BackupPlace),
    /// The backups in a place → `Answer::BackupFiles`.
    ListBackups(BackupPlace),
    /// Puts a backup in the place of everything → `Answer::Backups`, and then it is done.
    RestoreBackup {
        /// Which.
        source: BackupSource,
        /// What it was encrypted with.
        passphrase: Secret,
        /// Whether the network is set as in the backup.
        with_network: bool,
    },
    /// Erases settings and data, and restarts as on the first day → `Answer::Done`, and then it
    /// happens.
    FactoryReset,
    /// Whose certificates this machine believes when it asks for files elsewhere →
    /// `Answer::Trust`.
    ShowTrust,
    /// Certificates in PEM that are believed from now on; none for nobody's → `Answer::Trust`.
    SetTrust {
        /// Certificates of servers, or of authorities.
        pem: Option<String>,
    },
    /// The public key by which this machine signs in elsewhere → `Answer::ClientKey`.
    ShowClientKey,
    /// Forgets the key of a host that was met before → `Answer::Done`.
    ForgetHost {
        /// Its name or address.
        host: String,
    },
    /// Starts a network tool → `Answer::ToolOutput`, whose `tool` names it from then on.
    StartTool(Tool),
    /// What the tool has printed since → `Answer::ToolOutput`.
    ReadTool {
        /// Which.
        tool: u64,
        /// Lines read already.
        after_line: u64,
        /// How long to wait for a line; see [`MAX_TOOL_WAIT_MS`].
        wait_ms: u64,
    },
    /// Ends the tool → `Answer::ToolOutput` with the rest.
    StopTool {
        /// Which.
        tool: u64,
    },
    /// Restarts the machine → `Answer::Done`, and then it happens.
    Restart,
    /// Shuts the machine down → `Answer::Done`, and then it happens.
    Shutdown,
}

impl Request {
    /// How long a client should wait for the answer.
    #[must_use]
    pub fn answer_within(&self) -> Duration {
        const USUAL: Duration = Duration::from_secs(60);
        match self {
            // The data are copied meanwhile.
            Self::SwitchVersion | Self::ListBackups(_) => Duration::from_secs(600),
            Self::ReadTool { wait_ms, .. } => {
                USUAL + Duration::from_millis((*wait_ms).min(MAX_TOOL_WAIT_MS))
            }
            Self::ReadLog(query) => {
                USUAL + Duration::from_millis(query.wait_ms.min(crate::request::MAX_LOG_WAIT_MS))
            }
            _ => USUAL,
        }
    }
}
