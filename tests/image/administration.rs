//! An appliance that was set up by an answer file, as its administrator meets it over SSH.

use std::net::TcpStream;
use std::time::Duration;

use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Hardware, Machine, Ports};
use lamplight_tests::node::member;
use lamplight_tests::pidf;
use lamplight_tests::wire::{Client, Via};

use crate::start::{answers, until_serving};

/// Lines that must not lead out of the CLI; each must be refused or misused, and nothing of the
/// box may be seen.
const ESCAPES: &[&str] = &[
    "sh",
    "/bin/sh",
    "bash -i",
    "!sh",
    "!/bin/sh",
    "show status; sh",
    "show status && sh",
    "show status | sh",
    "show status `sh`",
    "show status $(sh)",
    "show status > /tmp/x",
    "show status < /etc/passwd",
    "show status\nsh",
    "show status\rsh",
    "show log ../../etc/passwd",
    "file view log /etc/passwd",
    "file view log ../../../etc/passwd",
    "file view log /proc/self/environ",
    "file view log /config/shadow",
    "file list log /",
    "file get log /etc/shadow",
    "user import /etc/passwd",
    "user import /config/shadow",
    "user import /proc/self/mem",
    "user import ../../etc/passwd",
    "user import /dev/sda",
    "--socket /tmp/x show status",
    "--config /etc/passwd",
    "-c sh",
    "-c -c sh",
    "exec sh",
    "system sh",
    "python",
    "vi /etc/passwd",
    "less /etc/passwd",
    "scp -t /tmp",
    "scp -f /etc/passwd",
    "sftp-server",
    "/usr/lib/openssh/sftp-server",
    "internal-sftp",
    "rsync --server .",
    "git-upload-pack /",
    "env",
    "set",
    "export PATH=/tmp",
    "LD_PRELOAD=/tmp/x show status",
    "help ../../etc/passwd",
    "\u{1b}[2Jshow status; sh",
    "%s%s%s%n",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA;sh",
    "'; sh; '",
    "\"; sh; \"",
];

#[test]
fn an_answer_file_sets_it_up_and_an_administrator_gets_the_cli_and_nothing_else() {
    let key = Key::new();
    let mut machine = Machine::start(Hardware::mcs_7845(), Some(&answers(&key)));
    until_serving(&machine);

    // The machine is what it claims, and its limit holds.
    let hardware = machine.ssh(&key, "--json show hardware").json();
    assert_eq!(member(&hardware, "class").unwrap(), "7845", "{hardware}");
    assert_eq!(member(&hardware, "rule").unwrap(), "oem_equivalent", "{hardware}");
    let capacity = machine.ssh(&key, "--json show capacity").json();
    assert_eq!(member(&capacity, "max_users").unwrap(), 5_000, "{capacity}");
    let status = machine.ssh(&key, "--json show status").json();
    assert_eq!(member(&status, "host_name").unwrap(), "lamp1", "{status}");
    assert_eq!(member(&status, "domain").unwrap(), "example.test", "{status}");

    // People are served over every transport.
    machine.ssh(&key, "user list").expect_done();
    let failures = escapes(&machine, &key);
    assert!(failures.is_empty(), "{failures:#?}");
    ssh_gives_nothing_else(&machine, &key);
    only_listed_ports_answer(&machine);
    keys_pressed_at_the_console_do_nothing(&machine, &key);

    // What is set survives a restart; the power button ends it cleanly.
    machine.qmp.press_power();
    machine.wait_off();
    machine.switch_on();
    until_serving(&machine);
    let hardware = machine.ssh(&key, "--json show hardware").json();
    assert_eq!(member(&hardware, "class").unwrap(), "7845", "{hardware}");
    let status = machine.ssh(&key, "--json show status").json();
    assert_eq!(member(&status, "host_name").unwrap(), "lamp1", "{status}");
}

fn escapes(machine: &Machine, key: &Key) -> Vec<String> {
    assert!(ESCAPES.len() >= 50);
    let mut failures = Vec::new();
    for line in ESCAPES {
        let told = machine.ssh(key, line);
        // A refusal repeats what it refuses.
        let said = format!("{}{}", told.out, told.err).replace(line, "");
        let is_refused = matches!(told.code, Some(1 | 2));
        let has_leaked =
            ["root:", "nobody:", "PATH=", "uid=", "$6$"].iter().any(|s| said.contains(s));
        if !is_refused || has_leaked {
            failures.push(format!("{line:?}: {:?} {said}", told.code));
        }
    }
    failures
}

fn ssh_gives_nothing_else(machine: &Machine, key: &Key) {
    let told = machine.copy("sftp", key, &["admin@127.0.0.1:/etc/passwd", "/dev/null"]);
    assert_ne!(told.code, Some(0), "sftp: {told:?}");
    let told = machine.copy("scp", key, &["admin@127.0.0.1:/etc/passwd", "/dev/null"]);
    assert_ne!(told.code, Some(0), "scp: {told:?}");
    let told = machine.copy("scp", key, &["-O", "admin@127.0.0.1:/etc/passwd", "/dev/null"]);
    assert_ne!(told.code, Some(0), "scp -O: {told:?}");
    let told = machine.ssh_with(key, &["-s"], "sftp");
    assert_ne!(told.code, Some(0), "a subsystem: {told:?}");
    // Standard input and output forwarded to a port of the machine itself.
    let told = machine.ssh_with(key, &["-W", "127.0.0.1:8443"], "");
    assert_ne!(told.code, Some(0), "-W: {told:?}");
    let port = lamplight_tests::program::free_port().to_string();
    let remote = format!("{port}:127.0.0.1:22");
    let told =
        machine.ssh_with(key, &["-o", "ExitOnForwardFailure=yes", "-R", &remote], "show version");
    assert_ne!(told.code, Some(0), "-R: {told:?}");
    // The environment of the asker is not taken over.
    for variable in ["LANG=/tmp/x", "LC_ALL=../../x", "LD_PRELOAD=/tmp/x", "PAGER=sh", "TERM=x;sh"]
    {
        let told = machine.ssh_with(key, &["-o", &format!("SetEnv={variable}")], "show version");
        assert_eq!(told.code, Some(0), "{variable}: {told:?}");
        assert!(told.out.contains(env!("CARGO_PKG_VERSION")), "{variable}: {told:?}");
    }
    for user in ["root", "presence", "nobody", "sshd"] {
        let told = machine.ssh_with(key, &["-l", user], "show version");
        assert_eq!(told.code, Some(255), "{user}: {told:?}");
    }
}

fn only_listed_ports_answer(machine: &Machine) {
    let connect = |port| TcpStream::connect_timeout(&Ports::at(port), Duration::from_secs(10));
    for port in [machine.ports.ssh, machine.ports.sip, machine.ports.sips, machine.ports.https] {
        connect(port).expect("a listed port");
    }
    // QEMU accepts for the machine; the machine then says nothing, and no octet comes.
    let mut stream = connect(machine.ports.closed).expect("QEMU's own end");
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut octets = [0; 16];
    let count = std::io::Read::read(&mut stream, &mut octets).unwrap_or(0);
    assert_eq!(count, 0, "a closed port answered {octets:?}");
}

fn keys_pressed_at_the_console_do_nothing(machine: &Machine, key: &Key) {
    let uptime = |machine: &Machine| {
        let status = machine.ssh(key, "--json show status").json();
        member(&status, "machine_uptime_s").unwrap().as_u64().unwrap()
    };
    let before = uptime(machine);
    for _ in 0..8 {
        machine.qmp.press(&["ctrl", "alt", "delete"]);
    }
    // Restart, crash, kill everything: by keyboard.
    for command in ["b", "c", "i", "e"] {
        machine.qmp.press(&["alt", "sysrq", command]);
    }
    assert!(uptime(machine) >= before, "the machine was restarted by its keyboard");
}

#[test]
fn people_are_served_over_every_transport_on_a_machine_of_the_smallest_kind() {
    let key = Key::new();
    let text = format!("{}trusted = [\"10.0.2.2/32\"]\n", answers(&key));
    let hardware = Hardware { cpu: "Conroe", has_uefi: true, ..Hardware::default() };
    let machine = Machine::start(hardware, Some(&text));
    until_serving(&machine);
    machine.ssh(&key, "user add anna").expect_done();
    machine.ssh(&key, "user add bert").expect_done();
    for (via, port) in [
        (Via::Udp, machine.ports.sip),
        (Via::Tcp, machine.ports.sip),
        (Via::Tls, machine.ports.sips),
    ] {
        let anna = Client::new(via, Ports::at(port), "example.test", "anna", "");
        let answer = anna.request(
            anna.publication().body("application/pidf+xml", pidf::open(&anna.aor(), "at work")),
        );
        answer.expect_status(200);
    }
}
