//! Commands for the machine itself: what reaches the platform service, and what is shown of its
//! answers.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use admin_api::platform::backup::{BackupPlace, BackupSchedule, BackupSource};
use admin_api::platform::request::{FileArea, Request};
use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings, SipSettings};
use admin_api::platform::tool::Tool;
use admin_api::platform::upgrade::UpgradeSource;
use admin_api::secret::Secret;
use serde_json::Value;

use crate::platform::Platform;
use crate::server::Server;
use crate::terminal::{CTRL_C, PROMPT, Terminal};

fn appliance(platform: &Platform, server: &Server, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_appliance"))
        .arg("--socket")
        .arg(&server.socket)
        .arg("--platform-socket")
        .arg(&platform.socket)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may end without reading it all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

/// Every command that only looks, a member of its JSON, and a text that it shows.
const LOOKS: &[(&str, &str, &str)] = &[
    ("show status", "platform", "SIP answered  not yet"),
    ("show version", "platform", "Slot          A"),
    ("show hardware", "hardware", "sold as MCS-7835-I3"),
    ("show network", "network", "undone in 77 s"),
    ("show time", "time", "CET\\u{1b}[2J"),
    ("show timezones", "time_zones", "Europe/Berlin"),
    ("show timezones contains utc", "time_zones", "UTC"),
    ("show services", "services", "==== programs ===="),
    ("utils service list", "programs", "ssh"),
    ("show ssh keys", "ssh_keys", "anna\\u{1b}[2J"),
    ("show syslog", "syslog", "refused\\u{1b}[2J"),
    ("show sip", "settings", "SHA-256, MD5"),
    ("show tech-support", "ssh_keys", "==== network ===="),
    ("file list log", "logs", "kernel"),
    ("file view log kernel", "log_lines", "\\u{1b}]0;x\\u{7}link up"),
    ("file list capture", "files", "trunk.pcap"),
    ("file list upload", "files", "trunk.pcap"),
    ("file list backup", "files", "trunk.pcap"),
    ("show upgrade", "upgrade", "presenced: no store\\u{1b}[2J"),
    (
        "show upgrade",
        "upgrade",
        "A to B on 2026-11-18T11:06:40+00:00: failed, and slot A runs again",
    ),
    ("show version active", "version", "Runs            yes"),
    ("show version inactive", "failure", "left on 2026-11-18T11:06:40+00:00 after 3 starts"),
    ("show backup", "backups", "every day at 02:30 to sftp://a@h/x\\u{7}, 14 kept"),
    ("show backup", "backups", "failed: the server is full\\u{1b}[2J"),
    ("utils backup list", "backup_files", "lamp.lamplight.age\\u{1b}[2J"),
    ("show trust", "trust", "AB:CD\\u{7}"),
    ("show ssh client key", "client_key", "ssh-ed25519 AAAA\\u{1b}[2J"),
];

fn with_capture() -> Platform {
    let platform = Platform::set_up();
    let bytes: Vec<u8> = (0..=255).cycle().take(2_501).collect();
    platform.change(|state| state.files.push(("trunk.pcap".to_owned(), bytes)));
    platform
}

#[test]
fn what_the_platform_says_is_shown_as_text_and_as_json() {
    let (platform, server) = (with_capture(), Server::with_users(0));
    for (line, member, part) in LOOKS {
        let output = appliance(&platform, &server, &["-c", line], "");
        let shown = text(&output.stdout);
        assert!(shown.contains(part), "{line}: {shown}");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line}");
        let bad = |c: &char| c.is_control() && *c != '\n';
        assert_eq!(shown.chars().find(bad), None, "{line}");

        let output = appliance(&platform, &server, &["-c", &format!("{line} --json")], "");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line}");
        assert!(!text(&output.stdout).chars().any(|c| bad(&c)), "{line}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(document.get(member).is_some(), "{line}: {document}");
    }
}

#[test]
fn every_change_reaches_the_platform_as_it_was_meant() {
    let (platform, server) = (with_capture(), Server::with_users(0));
    let address = |gateway: Option<&str>| Ipv4Settings::Static {
        address: "192.0.2.5".parse().unwrap(),
        prefix_length: 24,
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
    };
    let sip = |trusted: Option<&[&str]>, digest: Option<&[&str]>| {
        let list = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
        Request::SetSip(SipSettings { trusted: trusted.map(list), digest: digest.map(list) })
    };
    let servers = |list: &[&str]| Request::SetNameServers {
        servers: list.iter().map(|server| server.parse().unwrap()).collect(),
    };
    let names = |list: &[&str]| Request::SetTimeServers {
        servers: list.iter().map(|server| (*server).to_owned()).collect(),
    };
    let six = Ipv6Settings::Static {
        address: "2001:db8::5".parse().unwrap(),
        prefix_length: 64,
        gateway: Some("fe80::1".parse().unwrap()),
    };
    let key = "ssh-ed25519 AAAA anna@x".to_owned();
    let name = |name: &str| name.to_owned();
    let url = |user: &str| format!("https://{user}h/l.raucb");
    let table = [
        ("set network ip dhcp force", Request::SetIpv4(Ipv4Settings::Dhcp)),
        ("set network ip static 192.0.2.5/24 force", Request::SetIpv4(address(None))),
        (
            "set network ip static 192.0.2.5/24 gateway 192.0.2.1 force",
            Request::SetIpv4(address(Some("192.0.2.1"))),
        ),
        ("set network ipv6 off force", Request::SetIpv6(Ipv6Settings::Off)),
        ("set network ipv6 automatic force", Request::SetIpv6(Ipv6Settings::Automatic)),
        ("set net ipv6 static 2001:db8::5/64 gateway fe80::1 force", Request::SetIpv6(six)),
        ("set network dns 192.0.2.53 2001:db8::53", servers(&["192.0.2.53", "2001:db8::53"])),
        ("unset network dns", servers(&[])),
        ("set network mtu 1400", Request::SetMtu { mtu_bytes: Some(1_400) }),
        ("unset network mtu", Request::SetMtu { mtu_bytes: None }),
        ("set network hostname lamp", Request::SetHostName { host_name: "lamp".to_owned() }),
        ("set network confirm", Request::ConfirmNetwork),
        ("set network revert", Request::RevertNetwork),
        ("set time zone Europe/Berlin", Request::SetTimeZone { zone: "Europe/Berlin".to_owned() }),
        ("set time servers a.test b.test", names(&["a.test", "b.test"])),
        ("unset time servers", names(&[])),
        ("set domain example.org force", Request::SetDomain { domain: "example.org".to_owned() }),
        ("set sip trusted 192.0.2.0/24", sip(Some(&["192.0.2.0/24"]), None)),
        ("unset sip trusted", sip(Some(&[]), None)),
        ("set sip digest md5", sip(None, Some(&["MD5"]))),
        ("unset syslog", Request::SetSyslog { syslog: None }),
        ("set ssh key ssh-ed25519 AAAA anna@x", Request::AddSshKey { key }),
        (
            "unset ssh key SHA256:abc",
            Request::DeleteSshKey { fingerprint: "SHA256:abc".to_owned() },
        ),
        ("utils service restart ssh force", Request::RestartService { name: "ssh".to_owned() }),
        ("unset trust", Request::SetTrust { pem: None }),
        ("unset ssh host h.test", Request::ForgetHost { host: "h.test".to_owned() }),
        ("utils system upgrade install disk", Request::InstallUpgrade(UpgradeSource::Disk)),
        (
            "utils system upgrade install upload l.raucb",
            Request::InstallUpgrade(UpgradeSource::Upload { name: "l.raucb".to_owned() }),
        ),
        (
            "utils system upgrade install url https://h/l.raucb",
            Request::InstallUpgrade(UpgradeSource::Url { url: url(""), password: None }),
        ),
        ("utils system upgrade install disk switch force", Request::SwitchVersion),
        ("utils system upgrade cancel", Request::CancelUpgrade),
        ("utils system switch-version force", Request::SwitchVersion),
        ("utils system factory-reset force", Request::FactoryReset),
        ("file delete backup x", Request::DeleteFile { area: FileArea::Backup, name: name("x") }),
        ("file delete upload x", Request::DeleteFile { area: FileArea::Upload, name: name("x") }),
        ("unset backup passphrase", Request::SetBackupPassphrase { passphrase: None }),
        ("utils backup schedule off", Request::SetBackupSchedule { schedule: None }),
        (
            "utils backup schedule 02:30 disk keep 3",
            Request::SetBackupSchedule {
                schedule: Some(BackupSchedule {
                    minute_of_day: 150,
                    place: BackupPlace::Disk,
                    keep: 3,
                }),
            },
        ),
        ("utils backup create", Request::CreateBackup(BackupPlace::Here)),
        ("utils backup create disk", Request::CreateBackup(BackupPlace::Disk)),
        ("utils backup list disk", Request::ListBackups(BackupPlace::Disk)),
        ("utils system restart force", Request::Restart),
        ("utils system shutdown force", Request::Shutdown),
    ];
    for (line, request) in table {
        let output = appliance(&platform, &server, &["-c", line], "");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line}");
        assert!(!output.stdout.is_empty(), "{line}");
        assert_eq!(platform.last(), Some(request), "{line}");
    }
    let output = appliance(&platform, &server, &["-c", "set time clock '2026-03-01 14:05:00'"], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(matches!(platform.last(), Some(Request::SetClock { .. })));
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let line = "set syslog logs.example.test port 1514";
    appliance(&platform, &server, &["-c", line], pem);
    let Some(Request::SetSyslog { syslog: Some(syslog) }) = platform.last() else { panic!() };
    assert_eq!((syslog.port, syslog.trust_pem.as_str()), (1_514, pem));
    appliance(&platform, &server, &["-c", "set trust"], pem);
    assert_eq!(platform.last(), Some(Request::SetTrust { pem: Some(pem.to_owned()) }));
    let secret = |text: &str| Secret::new(text.to_owned());
    for (line, input, request) in [
        (
            "utils system upgrade install url https://a@h/l.raucb password",
            "sesame\n",
            Request::InstallUpgrade(UpgradeSource::Url {
                url: url("a@"),
                password: Some(secret("sesame")),
            }),
        ),
        (
            "set backup passphrase",
            "five words are long enough\n",
            Request::SetBackupPassphrase { passphrase: Some(secret("five words are long enough")) },
        ),
        (
            "utils backup create url https://a@h/l.raucb password",
            "sesame\n",
            Request::CreateBackup(BackupPlace::Url {
                url: url("a@"),
                password: Some(secret("sesame")),
            }),
        ),
        (
            "utils backup restore url https://a@h/l.raucb password with-network force",
            "sesame\nfive words\n",
            Request::RestoreBackup {
                source: BackupSource::Url { url: url("a@"), password: Some(secret("sesame")) },
                passphrase: secret("five words"),
                with_network: true,
            },
        ),
        (
            "utils backup restore disk force",
            "five words\n",
            Request::RestoreBackup {
                source: BackupSource::Disk { name: None },
                passphrase: secret("five words"),
                with_network: false,
            },
        ),
    ] {
        let output = appliance(&platform, &server, &["-c", line], input);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line}");
        assert_eq!(platform.last(), Some(request), "{line}");
    }
    for wrong in ["utils backup schedule 25:00", "utils backup create disk url https://h/"] {
        let output = appliance(&platform, &server, &["-c", wrong], "");
        assert_ne!(output.status.code(), Some(0), "{wrong}");
    }
    let words = ["-c", "set password password-stdin"];
    let output = appliance(&platform, &server, &words, "open sesame\nnew password\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(platform.change(|state| state.password.clone()), "new password");
}

#[test]
fn what_cuts_service_wants_a_yes_or_force() {
    let (platform, server) = (with_capture(), Server::with_users(0));
    let lines = [
        "set network ip dhcp",
        "set network ip static 192.0.2.5/24",
        "set network ipv6 off",
        "set network ipv6 automatic",
        "set network ipv6 static 2001:db8::5/64",
        "set domain example.org",
        "utils system restart",
        "utils system shutdown",
        "utils service restart presence",
        "utils system switch-version",
        "utils system upgrade install disk switch",
        "utils system factory-reset",
        "utils backup restore disk",
    ];
    for line in lines {
        let output = appliance(&platform, &server, &["-c", line], "yes\n");
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(text(&output.stderr).contains("add force"), "{line}");
    }
    assert_eq!(platform.last(), None);
    let output = appliance(&platform, &server, &["-c", "utils system switch-version"], "");
    assert!(text(&output.stderr).contains("2 calls ring now"), "{output:?}");

    let sockets = format!(
        "--socket {} --platform-socket {}",
        server.socket.display(),
        platform.socket.display()
    );
    let mut terminal = Terminal::run_on("xterm", &sockets);
    terminal.expect(PROMPT);
    for no in ["no\r", "\r", CTRL_C] {
        terminal.send("utils system restart\r");
        terminal.expect("yes or no [no]: ");
        terminal.send(no);
        terminal.expect("the command was cancelled");
        terminal.expect(PROMPT);
    }
    assert_eq!(platform.last(), None);
    terminal.send("set network ip dhcp\r");
    terminal.expect("yes or no [no]: ");
    terminal.send("maybe\r");
    terminal.expect("yes or no [no]: ");
    terminal.send("yes\r");
    terminal.expect("set network confirm");
    terminal.expect(PROMPT);
    assert_eq!(platform.last(), Some(Request::SetIpv4(Ipv4Settings::Dhcp)));
}

#[test]
fn values_that_cannot_be_do_not_reach_the_platform() {
    let (platform, server) = (with_capture(), Server::with_users(0));
    for (line, code) in [
        ("set network ip static 192.0.2.5", 2),
        ("set network ip static 192.0.2.0/24", 2),
        ("set network ip static 192.0.2.5/24 gateway 192.0.3.1", 1),
        ("set network ip static 192.0.2.5/24 gateway fe80::1", 2),
        ("set network ipv6 static 192.0.2.5/24", 2),
        ("set network dns ns.example.org", 2),
        ("set network dns 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4", 2),
        ("set network mtu 9217", 2),
        ("set time clock yesterday", 1),
        ("set time clock '2026-02-30 00:00:00'", 1),
        ("utils network ping x count 101", 2),
        ("utils network connect x 65536", 2),
        ("utils network capture x host y", 2),
    ] {
        let output = appliance(&platform, &server, &["-c", line], "");
        assert_eq!(output.status.code(), Some(code), "{line}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty(), "{line}");
    }
    assert_eq!(platform.last(), None);
}

#[test]
fn tools_print_as_they_go_and_tell_how_they_ended() {
    let (platform, server) = (with_capture(), Server::with_users(0));
    platform.change(|state| {
        state.tool_lines = ["one", "two\u{1b}[2J", "three"].map(str::to_owned).to_vec();
    });
    for line in [
        "utils network ping 192.0.2.1",
        "utils network traceroute example.org",
        "utils network resolve example.org",
        "utils network connect example.org 5060",
        "utils network capture trunk count 5 host 192.0.2.1 port 5060",
    ] {
        let output = appliance(&platform, &server, &["-c", line], "");
        assert_eq!(text(&output.stdout), "one\ntwo\\u{1b}[2J\nthree\n", "{line}");
        assert_eq!(output.status.code(), Some(0), "{line}");
    }
    let started = |state: &mut crate::platform::State| {
        state.asked.iter().rev().find_map(|request| match request {
            Request::StartTool(tool) => Some(tool.clone()),
            _ => None,
        })
    };
    assert_eq!(
        platform.change(started),
        Some(Tool::Capture {
            file: "trunk".to_owned(),
            count: 5,
            host: Some("192.0.2.1".parse().unwrap()),
            port: Some(5_060),
        })
    );
    let output = appliance(&platform, &server, &["-c", "utils network ping x --json"], "");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["tool_output"]["has_succeeded"], true);
    assert_eq!(document["tool_output"]["lines"][1], "two\u{1b}[2J");
}

#[test]
fn ctrl_c_stops_a_tool() {
    for is_shell in [true, false] {
        let (platform, server) = (with_capture(), Server::with_users(0));
        platform.change(|state| {
            state.tool_lines = vec!["one".to_owned()];
            state.is_endless = true;
        });
        let command = "utils network ping 192.0.2.1";
        let sockets = format!(
            "--socket {} --platform-socket {} {}",
            server.socket.display(),
            platform.socket.display(),
            if is_shell { "" } else { command },
        );
        let mut terminal = Terminal::run_on("xterm", &sockets);
        if is_shell {
            terminal.expect(PROMPT);
            terminal.send(&format!("{command}\r"));
        }
        terminal.expect("one");
        terminal.send(CTRL_C);
        if is_shell {
            let shown = terminal.expect(PROMPT);
            assert!(!shown.contains("unsuccessfully"), "{shown}");
        } else {
            terminal.expect_end();
        }
        assert!(platform.change(|state| state.is_stopped));
    }
}

#[test]
fn a_capture_comes_out_byte_for_byte_and_never_onto_a_terminal() {
    let (platform, server) = (with_capture(), Server::with_users(0));
    let output = appliance(&platform, &server, &["-c", "file get capture trunk.pcap"], "");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, platform.change(|state| state.files[0].1.clone()));
    let output = appliance(&platform, &server, &["-c", "file get capture other.pcap"], "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let sockets = format!(
        "--socket {} --platform-socket {}",
        server.socket.display(),
        platform.socket.display()
    );
    let mut terminal = Terminal::run_on("xterm", &sockets);
    terminal.expect(PROMPT);
    let shown = terminal.run("file get capture trunk.pcap");
    assert!(shown.contains("nothing that a terminal can show"), "{shown}");
}

#[test]
fn without_a_platform_the_command_says_so() {
    let (platform, server) = (with_capture(), Server::with_users(0));
    std::fs::remove_file(&platform.socket).unwrap();
    let output = appliance(&platform, &server, &["-c", "show network"], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("the platform service cannot be reached"), "{said}");
    assert!(said.contains("only the sealed appliance has it"), "{said}");
    // Without presence, what the platform knows is shown all the same.
    let (platform, server) = (with_capture(), Server::with_users(0));
    std::fs::remove_file(&server.socket).unwrap();
    let output = appliance(&platform, &server, &["-c", "show status"], "");
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.contains("the presence service cannot be reached"), "{shown}");
    assert!(shown.contains("Slot          A"), "{shown}");
    let output = appliance(&platform, &server, &["-c", "show hardware"], "");
    assert_eq!(output.status.code(), Some(0));
}
