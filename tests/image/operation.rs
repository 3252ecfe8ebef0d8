//! A machine in operation: whatever its administrator sets acts at once and survives a restart.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Hardware, Machine, Ports, run};
use lamplight_tests::node::{eventually, member};
use lamplight_tests::pidf;
use lamplight_tests::program::free_port;
use lamplight_tests::wire::{Client, Via};
use serde_json::Value;

use crate::start::{PASSWORD, answers, restart, until_serving};

/// The host, as QEMU shows it to the machine.
const HOST: &str = "10.0.2.2";

/// A unit that would print at the console, smuggled in from outside as credentials.
const SMUGGLED: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\n\
    ExecStart=/usr/bin/presenced --version\nStandardOutput=tty\nTTYPath=/dev/ttyS0\n";

#[test]
fn what_is_set_acts_at_once_and_survives_a_restart() {
    let key = Key::new();
    let smuggled = tempfile::tempdir().expect("a directory");
    let mut machine = Machine::start(besieged(smuggled.path()), Some(&answers(&key)));
    until_serving(&machine);
    let admin = Admin { machine: &machine, key: &key };

    // Nothing that can be written can be executed, and all partitions are there.
    let status = admin.does("show status");
    assert!(status.contains("Slot") && !status.contains("Warning"), "{status}");
    admin.refuses_a_wrong_password();
    admin.sets_names_and_clock();
    admin.opens_and_closes_to_a_trusted_peer();
    admin.asks_the_network();
    admin.reads_logs();
    let collector = Collector::start();
    admin.sends_logs_away(&collector);
    admin.changes_keys_and_password();
    admin.does("utils service restart presence force");

    let before = admin.everything();
    restart(&machine, &key);
    let admin = Admin { machine: &machine, key: &key };
    assert_eq!(admin.everything(), before);
    let told = machine.ssh_by_password("a new battery", "show version");
    assert_eq!(told.code, Some(0), "{told:?}");
    eventually("logs of the second start", || {
        collector.text().contains("restored users=1").then_some(())
    });
    let text = machine.serial.text();
    assert!(!text.contains("presenced 0."), "a credential from outside was followed: {text}");

    machine.ssh(&key, "utils system shutdown force").expect_done();
    machine.wait_off();
}

/// A machine whose firmware and hypervisor offer credentials to systemd.
fn besieged(dir: &Path) -> Hardware {
    let unit = dir.join("unit");
    std::fs::write(&unit, SMUGGLED).expect("a file");
    let drop_in = dir.join("drop-in");
    std::fs::write(&drop_in, "[Unit]\nWants=one.service x.service\n").expect("a file");
    let credential =
        |name: &str, text: &str| format!("type=11,value=io.systemd.credential:{name}={text}");
    let file = |name: &str, path: &Path| {
        let output = Command::new("openssl").args(["base64", "-A", "-in"]).arg(path).output();
        let text = String::from_utf8(output.expect("openssl").stdout).expect("Base64");
        format!("type=11,value=io.systemd.credential.binary:{name}={text}")
    };
    Hardware {
        smbios: vec![
            credential("passwd.hashed-password.root", ""),
            credential("passwd.plaintext-password.admin", "smuggled"),
            credential("sysctl.extra", "kernel.sysrq=1"),
            credential("ssh.authorized_keys.root", "ssh-ed25519 AAAA smuggled"),
            file("systemd.extra-unit.one.service", &unit),
            file("systemd.unit-dropin.sysinit.target", &drop_in),
        ],
        extra: vec![
            "-fw_cfg".to_owned(),
            format!(
                "name=opt/io.systemd.credentials/systemd.extra-unit.x.service,file={}",
                unit.display()
            ),
        ],
        ..Hardware::default()
    }
}

/// Who administers the machine over SSH.
struct Admin<'a> {
    machine: &'a Machine,
    key: &'a Key,
}

impl Admin<'_> {
    #[track_caller]
    fn does(&self, line: &str) -> String {
        let told = self.machine.ssh(self.key, line);
        assert_eq!(told.code, Some(0), "{line}: {told:?}");
        told.out
    }

    #[track_caller]
    fn sees(&self, line: &str) -> Value {
        self.machine.ssh(self.key, &format!("{line} --json")).json()
    }

    /// What is set, without what passes.
    fn everything(&self) -> Vec<Value> {
        let network = self.sees("show network");
        let time = self.sees("show time");
        let mut all = vec![self.sees("show ssh keys"), self.sees("show sip")];
        for name in ["host_name", "ipv4", "ipv6", "name_servers", "mtu_bytes"] {
            all.push(member(&network, name).cloned().unwrap_or_default());
        }
        for name in ["zone", "servers"] {
            all.push(member(&time, name).cloned().unwrap_or_default());
        }
        all
    }

    fn refuses_a_wrong_password(&self) {
        let told = self.machine.ssh_by_password("smuggled", "show version");
        assert_eq!(told.code, Some(255), "{told:?}");
        let told = self.machine.ssh_by_password(PASSWORD, "show status --json");
        assert_eq!(told.code, Some(0), "{told:?}");
    }

    fn sets_names_and_clock(&self) {
        self.does("set network hostname lamp9");
        let status = self.sees("show status");
        assert_eq!(member(&status, "host_name").unwrap(), "lamp9", "{status}");
        self.does("set time zone Asia/Tokyo");
        assert!(self.does("show time").contains("JST"));
        self.does("set time servers 10.0.2.2");
        self.does("set network dns 10.0.2.3");
        let told = self.does("set network mtu 1400");
        assert!(told.contains("undone") && told.contains("set network confirm"), "{told}");
        let network = self.sees("show network");
        let interfaces = member(&network, "interfaces").unwrap();
        assert_eq!(member(&interfaces[0], "mtu_bytes").unwrap(), 1_400, "{network}");
        let servers = member(&network, "name_servers_in_use").unwrap().to_string();
        assert_eq!(servers, "[\"10.0.2.3\"]", "{network}");
        self.does("set network confirm");
        assert!(!self.does("show network").contains("undone"));
        for (line, what) in [
            ("set time zone Europe/Atlantis", "Atlantis"),
            ("set network mtu 12", "12"),
            ("set network hostname -x-", "-x-"),
            ("set time servers a b c d e", "e"),
        ] {
            let told = self.machine.ssh(self.key, line);
            assert!(matches!(told.code, Some(1 | 2)), "{line}: {told:?}");
            assert!(told.err.contains(what), "{line}: {told:?}");
        }
    }

    /// Who is trusted changes without a restart of the service.
    fn opens_and_closes_to_a_trusted_peer(&self) {
        self.does("user add anna");
        let server = Ports::at(self.machine.ports.sip);
        let anna = Client::new(Via::Udp, server, "example.test", "anna", "");
        let publish = || {
            let document = pidf::open(&anna.aor(), "at work");
            anna.transact(anna.publication().body("application/pidf+xml", document)).status()
        };
        let started = || {
            let status = self.sees("show status");
            member(&status, "started_unix_ms").unwrap().clone()
        };
        let before = started();
        assert_eq!(publish(), Some(401));
        self.does("set sip trusted 10.0.2.2/32");
        assert_eq!(publish(), Some(200));
        self.does("unset sip trusted");
        assert_eq!(publish(), Some(401));
        self.does("set sip digest MD5");
        self.does("set sip trusted 10.0.2.2/32");
        assert_eq!(started(), before, "the service was restarted");
        assert!(self.does("show sip").contains("10.0.2.2/32"));
    }

    fn asks_the_network(&self) {
        let https = self.machine.ports.https;
        assert!(self.does("utils network ping 10.0.2.2 count 2").contains("10.0.2.2"));
        self.does(&format!("utils network connect {HOST} {https}"));
        let refused = self.machine.ssh(self.key, "utils network connect 127.0.0.1 1");
        assert_eq!(refused.code, Some(1), "{refused:?}");
        self.does("utils network traceroute 10.0.2.2");
        // A capture by one session, while another makes packets.
        std::thread::scope(|scope| {
            let capture =
                scope.spawn(|| self.does("utils network capture trunk count 5 port 5060"));
            let server = Ports::at(self.machine.ports.sip);
            while !capture.is_finished() {
                let anna = Client::new(Via::Udp, server, "example.test", "anna", "");
                anna.barrier();
            }
        });
        assert!(self.does("file list capture").contains("trunk.pcap"));
        let octets = self.machine.ssh_octets(self.key, "file get capture trunk.pcap");
        assert_eq!(&octets[..4], &[0xd4, 0xc3, 0xb2, 0xa1], "no capture file");
        assert!(octets.windows(7).any(|w| w == b"OPTIONS"), "no packet of ours");
        self.does("file delete capture trunk.pcap");
        for name in ["../../../config/shadow", "/etc/passwd", "..", "nothing.pcap"] {
            let told = self.machine.ssh(self.key, &format!("file get capture {name}"));
            assert_eq!(told.code, Some(1), "{name}: {told:?}");
        }
    }

    fn reads_logs(&self) {
        let logs = self.does("file list log");
        for log in ["presence", "platform", "network", "ssh", "kernel", "audit", "all"] {
            assert!(logs.contains(log), "{logs}");
            self.does(&format!("file view log {log}"));
        }
        let audit = self.does("file view log audit");
        assert!(audit.contains("SetTimeZone") && audit.contains("add user anna"), "{audit}");
        assert!(self.does("file search log kernel \"linux version\"").contains("Linux version"));
        let service = self.does("utils service list");
        assert!(service.contains("presence") && service.contains("running"), "{service}");
        self.does("show services");
        self.does("show tech-support");
    }

    fn sends_logs_away(&self, collector: &Collector) {
        assert!(self.does("show syslog").contains("nowhere"));
        let line = format!("set syslog {HOST} port {}", collector.port);
        let refused = self.machine.ssh_input(self.key, &line, b"no certificate\n");
        assert_eq!(refused.code, Some(1), "{refused:?}");
        // Somebody else's certificate: nothing is sent.
        let stranger = Collector::start();
        self.machine.ssh_input(self.key, &line, &stranger.certificate()).expect_done();
        eventually("the fault", || self.does("show syslog").contains("Fault").then_some(()));
        assert_eq!(collector.text(), "");
        self.machine.ssh_input(self.key, &line, &collector.certificate()).expect_done();
        eventually("a log line at the collector", || {
            // RFC 5425: length, a space, and an RFC 5424 line of this machine.
            let text = collector.text();
            (text.contains(" lamp9 ") && text.contains(">1 2")).then_some(())
        });
        let shown = self.does("show syslog");
        assert!(shown.contains(HOST) && shown.contains("yes"), "{shown}");
    }

    fn changes_keys_and_password(&self) {
        let other = Key::new();
        self.does(&format!("set ssh key {}", other.public()));
        self.machine.ssh(&other, "show version").expect_done();
        let keys = self.sees("show ssh keys").to_string();
        let listed: Vec<&str> = keys.split('"').filter(|w| w.starts_with("SHA256:")).collect();
        assert_eq!(listed.len(), 2, "{keys}");
        self.does(&format!("unset ssh key {}", listed[1]));
        assert_eq!(self.machine.ssh(&other, "show version").code, Some(255));

        let change = |input: &str| {
            self.machine.ssh_input(self.key, "set password password-stdin", input.as_bytes())
        };
        assert_eq!(change("not the password\na new battery\n").code, Some(1));
        assert_eq!(change(&format!("{PASSWORD}\nshort\n")).code, Some(1));
        change(&format!("{PASSWORD}\na new battery\n")).expect_done();
        assert_eq!(self.machine.ssh_by_password(PASSWORD, "show version").code, Some(255));
        self.machine.ssh_by_password("a new battery", "show version").expect_done();
    }
}

/// A syslog server over TLS: OpenSSL's own.
struct Collector {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Collector {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (key, certificate) = (dir.path().join("key"), dir.path().join("certificate"));
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=logs", "-addext"])
            .arg(format!("subjectAltName=IP:{HOST}"))
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate));
        let port = free_port();
        let received = File::create(dir.path().join("received")).expect("a file");
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
            .arg(&certificate)
            .arg("-key")
            .arg(&key)
            .stdin(Stdio::piped())
            .stdout(received)
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        Self { child, dir, port }
    }

    fn certificate(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join("certificate")).expect("a file")
    }

    /// Everything received.
    fn text(&self) -> String {
        let octets = std::fs::read(self.dir.path().join("received")).expect("a file");
        String::from_utf8_lossy(&octets).into_owned()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
