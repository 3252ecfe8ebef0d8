//! What the small platform service says to everything that only looks, or that it keeps nothing
//! of.

use std::fmt::Write as _;

use admin_api::answer::log::{LogInventory, LogLevel, LogLine, LogLines};
use admin_api::answer::system::{Service, ServiceState};
use admin_api::platform::answer::{
    Answer, FilePart, Interface, Network, NetworkChanged, Syslog, Time,
};
use admin_api::platform::backup::{
    BackupFile, BackupPlace, BackupSchedule, BackupWork, Backups, LatestBackup,
};
use admin_api::platform::request::Request;
use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings, SetUp, SipSettings};
use admin_api::platform::tool::ToolOutput;
use admin_api::platform::upgrade::{SlotFacts, SlotFailure, SwitchFacts, Upgrade, UpgradeState};
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::secret::Secret;

use crate::platform::State;

const NOW: u64 = 1_795_000_000_000;

/// What a set-up appliance was told at its first start.
pub(crate) fn set_up() -> SetUp {
    SetUp {
        host_name: "lamp1".to_owned(),
        domain: "example.test".to_owned(),
        ipv4: Ipv4Settings::Dhcp,
        ipv6: Ipv6Settings::Automatic,
        name_servers: Vec::new(),
        time_zone: "UTC".to_owned(),
        time_servers: Vec::new(),
        password: Secret::new("open sesame".to_owned()),
        ssh_keys: Vec::new(),
        trusted: Vec::new(),
    }
}

fn network() -> Network {
    Network {
        host_name: "lamp1".to_owned(),
        ipv4: Ipv4Settings::Static {
            address: "192.0.2.5".parse().unwrap(),
            prefix_length: 24,
            gateway: Some("192.0.2.1".parse().unwrap()),
        },
        ipv6: Ipv6Settings::Automatic,
        name_servers: Vec::new(),
        mtu_bytes: Some(1_400),
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            mac: Some("52:54:00:12:34:56".to_owned()),
            driver: Some("bnx2".to_owned()),
            has_link: true,
            speed_mbit: Some(1_000),
            mtu_bytes: 1_400,
            addresses: vec!["192.0.2.5/24".to_owned()],
            gateways: vec!["192.0.2.1".parse().unwrap()],
            is_served: true,
        }],
        name_servers_in_use: vec!["192.0.2.53".parse().unwrap()],
        undone_in_s: Some(77),
    }
}

fn time() -> Time {
    Time {
        now_unix_ms: NOW,
        local: "2026-11-18 14:26:40 CET\u{1b}[2J".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        servers: vec!["ntp.example.test".to_owned()],
        server_in_use: None,
        is_synchronised: false,
    }
}

/// RFC 4648 §4, for the small files of the tests.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap();
            let is_filled = at <= group.len();
            let letter = if is_filled { char::from(ALPHABET[digit]) } else { '=' };
            write!(text, "{letter}").unwrap();
        }
    }
    text
}

fn tool(state: &State, after_line: u64) -> ToolOutput {
    let after = usize::try_from(after_line).unwrap();
    let lines: Vec<String> = state.tool_lines.iter().skip(after).take(1).cloned().collect();
    let next = after + lines.len();
    let is_over = next == state.tool_lines.len() && (!state.is_endless || state.is_stopped);
    ToolOutput {
        tool: 7,
        lines,
        next_after_line: u64::try_from(next).unwrap(),
        has_succeeded: is_over.then_some(!state.is_stopped),
    }
}

/// The answer to a request that `State` itself does not answer.
pub(crate) fn answer(state: &mut State, request: Request) -> Result<Answer, Refusal> {
    Ok(match request {
        Request::ShowNetwork => Answer::Network(Box::new(network())),
        Request::SetIpv4(_)
        | Request::SetIpv6(_)
        | Request::SetNameServers { .. }
        | Request::SetMtu { .. } => {
            Answer::NetworkChanged(NetworkChanged { confirm_within_s: Some(120) })
        }
        Request::ConfirmNetwork | Request::RevertNetwork => {
            Answer::NetworkChanged(NetworkChanged { confirm_within_s: None })
        }
        Request::ShowTime
        | Request::SetTimeZone { .. }
        | Request::SetTimeServers { .. }
        | Request::SetClock { .. } => Answer::Time(time()),
        Request::SetSip(_) | Request::ShowSip => Answer::Sip(SipSettings {
            trusted: Some(vec!["192.0.2.0/24".to_owned()]),
            digest: Some(vec!["SHA-256".to_owned(), "MD5".to_owned()]),
        }),
        Request::ShowSyslog | Request::SetSyslog { syslog: Some(_) } => {
            Answer::Syslog(Some(Syslog {
                host: "logs.example.test".to_owned(),
                port: 6_514,
                trusted_authorities: 1,
                is_connected: false,
                sent: 12,
                fault: Some("refused\u{1b}[2J".to_owned()),
            }))
        }
        Request::SetSyslog { syslog: None } => Answer::Syslog(None),
        Request::ListServices => Answer::Services(vec![Service {
            name: "ssh".to_owned(),
            state: ServiceState::Running,
            since_unix_ms: NOW,
            remark: None,
        }]),
        Request::ListLogs => Answer::Logs(vec![LogInventory {
            name: "kernel".to_owned(),
            lines: 1,
            max_lines: 0,
            size_bytes: 0,
            oldest_unix_ms: None,
            newest_unix_ms: None,
        }]),
        Request::ReadLog(query) if query.log == "kernel" => {
            let is_first = query.after_sequence.is_none_or(|after| after == 0);
            let line = LogLine {
                sequence: 1,
                at_unix_ms: NOW,
                level: LogLevel::Info,
                area: "kernel".to_owned(),
                text: "eth0: \u{1b}]0;x\u{7}link up".to_owned(),
            };
            Answer::LogLines(LogLines {
                lines: if is_first { vec![line] } else { Vec::new() },
                next_after_sequence: 1,
                more: false,
                lost_lines: 0,
            })
        }
        Request::ReadLog(_) => {
            return Err(Refusal::new(
                RefusalCode::UnknownLog,
                "there is no such log",
                "LOG",
                "\"file list log\" lists them",
            ));
        }
        Request::ReadFile { name, offset, limit_bytes, .. } => {
            let Some((_, bytes)) = state.files.iter().find(|(known, _)| *known == name) else {
                return Err(Refusal::new(RefusalCode::NotFound, "no such file", "FILE", "list"));
            };
            // In small parts, so that there are several.
            let offset = usize::try_from(offset).unwrap().min(bytes.len());
            let limit = usize::try_from(limit_bytes).unwrap().min(1_000);
            let part = &bytes[offset..bytes.len().min(offset + limit)];
            Answer::FilePart(FilePart {
                base64: base64(part),
                size_bytes: u64::try_from(bytes.len()).unwrap(),
            })
        }
        Request::StartTool(_) => Answer::ToolOutput(ToolOutput {
            tool: 7,
            lines: Vec::new(),
            next_after_line: 0,
            has_succeeded: None,
        }),
        Request::ReadTool { after_line, wait_ms, .. } => {
            let output = tool(state, after_line);
            if output.lines.is_empty() && output.has_succeeded.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(wait_ms.min(20)));
            }
            Answer::ToolOutput(output)
        }
        Request::StopTool { .. } => {
            state.is_stopped = true;
            Answer::ToolOutput(tool(state, 0))
        }
        Request::ShowUpgrade | Request::InstallUpgrade(_) | Request::CancelUpgrade => {
            Answer::Upgrade(upgrade())
        }
        Request::ShowBackups
        | Request::SetBackupPassphrase { .. }
        | Request::SetBackupSchedule { .. }
        | Request::CreateBackup(_)
        | Request::RestoreBackup { .. } => Answer::Backups(Box::new(backups())),
        Request::ListBackups(_) => Answer::BackupFiles(vec![BackupFile {
            name: "lamp.lamplight.age\u{1b}[2J".to_owned(),
            size_bytes: None,
        }]),
        Request::ShowTrust => Answer::Trust { certificates: vec!["SHA-256 AB:CD\u{7}".to_owned()] },
        Request::SetTrust { .. } => Answer::Trust { certificates: Vec::new() },
        Request::ShowClientKey => Answer::ClientKey { key: "ssh-ed25519 AAAA\u{1b}[2J".to_owned() },
        _ => Answer::Done,
    })
}

/// Slot B was left again, with something evil in its log.
fn upgrade() -> Upgrade {
    let slot = |name: &str, is_running| SlotFacts {
        name: name.to_owned(),
        is_running,
        is_next: is_running,
        is_good: true,
        is_installed: true,
        failed_starts: u32::from(!is_running) * 3,
        version: Some("1.2.3".to_owned()),
        installed_unix_ms: Some(NOW),
        failure: (!is_running).then(|| SlotFailure {
            version: Some("1.2.3".to_owned()),
            at_unix_ms: NOW,
            starts: 3,
            lines: vec!["presenced: no store\u{1b}[2J".to_owned()],
        }),
    };
    Upgrade {
        slots: vec![slot("A", true), slot("B", false)],
        state: UpgradeState::Installed { version: "1.2.3".to_owned() },
        latest_switch: Some(SwitchFacts {
            from: "A".to_owned(),
            to: "B".to_owned(),
            at_unix_ms: NOW,
            is_data_carried: true,
            without_service_ms: None,
            has_failed: true,
        }),
    }
}

fn backups() -> Backups {
    Backups {
        has_passphrase: true,
        schedule: Some(BackupSchedule {
            minute_of_day: 150,
            place: BackupPlace::Url { url: "sftp://a@h/x\u{7}".to_owned(), password: None },
            keep: 14,
        }),
        next_unix_ms: Some(NOW),
        latest: Some(LatestBackup {
            at_unix_ms: NOW,
            name: "lamp.lamplight.age".to_owned(),
            place: "sftp://a@h/x".to_owned(),
            fault: Some("the server is full\u{1b}[2J".to_owned()),
        }),
        work: BackupWork::Done { what: "made\u{7}".to_owned() },
    }
}
