//! Settings that are read again while the daemon runs, as the service manager's reload does it.

use std::os::unix::net::UnixDatagram;

use lamplight_tests::http;
use lamplight_tests::node::{DOMAIN, Node, Setup, eventually};
use lamplight_tests::wire::tls::certificate_of;
use lamplight_tests::wire::{PATIENCE, Via};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A node, and what it tells the service manager.
fn node() -> (Node, UnixDatagram, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let environment = vec![("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    let node = Setup { environment, ..Setup::default() }.start();
    assert!(heard(&socket).contains("READY=1"));
    (node, socket, dir)
}

#[track_caller]
fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4_096];
    let length = socket.recv(&mut buffer).expect("a word to the service manager");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Changes the settings file and has it read again, to the end.
#[track_caller]
fn reload(node: &Node, socket: &UnixDatagram, change: impl Fn(&str) -> String) {
    let before = std::fs::read_to_string(node.config_path()).expect("the settings");
    let after = change(&before);
    assert_ne!(before, after, "{before}");
    node.write_config(&after);
    kill(Pid::from_raw(node.pid().cast_signed()), Signal::SIGHUP).expect("SIGHUP");
    let begun = heard(socket);
    assert!(begun.contains("RELOADING=1") && begun.contains("MONOTONIC_USEC="), "{begun}");
    assert!(heard(socket).contains("READY=1"));
}

#[test]
fn who_is_trusted_changes_without_a_restart() {
    let (node, socket, _dir) = node();
    let [alice] = node.clients(["alice"]);
    let pid = node.pid();
    alice.transact(alice.registration()).expect_status(401);
    reload(&node, &socket, |text| text.replace("trusted = []", "trusted = [\"127.0.0.1\"]"));
    alice.transact(alice.registration()).expect_status(200);
    let shown = node.appliance(&["--json", "show", "settings"]).json().to_string();
    assert!(shown.contains("127.0.0.1/32"), "{shown}");
    reload(&node, &socket, |text| text.replace("trusted = [\"127.0.0.1\"]", "trusted = []"));
    alice.transact(alice.registration()).expect_status(401);
    assert_eq!(node.pid(), pid);
}

#[test]
fn other_digest_algorithms_are_offered_without_a_restart() {
    let (node, socket, _dir) = node();
    let [alice] = node.clients(["alice"]);
    let challenges = || {
        let answer = alice.transact(alice.registration());
        answer.expect_status(401).to_string().matches("WWW-Authenticate").count()
    };
    assert_eq!(challenges(), 2);
    reload(&node, &socket, |text| text.replace("[http]", "digest = [\"MD5\"]\n[http]"));
    assert_eq!(challenges(), 1);
    alice.register();
}

#[test]
fn limits_and_the_log_s_level_change_without_a_restart() {
    let (node, socket, _dir) = node();
    reload(&node, &socket, |text| {
        let text = text.replace("[http]", "max_connections_per_peer = 1\n[http]");
        format!("{text}[log]\nlevel = \"debug\"\n")
    });
    let [alice] = node.clients(["alice"]);
    let first = node.client_over(Via::Tcp, "alice");
    first.register();
    let second = node.client_over(Via::Tcp, "alice");
    second.expect_closed();
    drop((alice, first));
    let levels = node.appliance(&["--json", "show", "log", "level"]).json().to_string();
    assert!(levels.contains("\"debug\""), "{levels}");
}

#[test]
fn a_new_certificate_is_shown_to_who_connects_after_it() {
    let (node, socket, _dir) = node();
    let before = certificate_of(node.ready.address("tls"));
    for name in ["certificate.pem", "certificate.key"] {
        std::fs::remove_file(node.data_dir().join(name)).expect("remove");
    }
    reload(&node, &socket, |text| format!("{text}# The certificate is another.\n"));
    let after = certificate_of(node.ready.address("tls"));
    assert_ne!(after, before);
    assert_eq!(certificate_of(node.ready.address("http")), after, "one certificate for both");
}

#[test]
fn bad_settings_change_nothing_and_raise_an_alarm_until_they_are_mended() {
    let (node, socket, _dir) = node();
    let [alice] = node.clients(["alice"]);
    let alarms = || node.appliance(&["--json", "show", "alarms"]).json().to_string();
    reload(&node, &socket, |text| text.replace("trusted = []", "trusted = [\"everybody\"]"));
    node.expect_line("why", |line| line.contains("presenced.toml:5") && line.contains("everybody"));
    assert!(alarms().contains("settings-refused"), "{}", alarms());
    alice.register();
    reload(&node, &socket, |text| text.replace("[\"everybody\"]", "[\"127.0.0.1\"]"));
    eventually("the end of the alarm", || {
        let metrics = http::get(node.ready.address("http"), "/metrics").body;
        (!metrics.contains("settings-refused")).then_some(())
    });
    alice.transact(alice.registration()).expect_status(200);
}

#[test]
fn what_needs_a_restart_is_named_and_stays() {
    let (node, socket, _dir) = node();
    reload(&node, &socket, |text| text.replace(DOMAIN, "other.test"));
    node.expect_line("the key", |line| line.contains("restart") && line.contains("domain"));
    let [alice] = node.clients(["alice"]);
    alice.register();
}

#[test]
fn the_time_from_the_kernel_s_start_is_logged_and_measured() {
    let (node, _socket, _dir) = node();
    node.expect_line("the time", |line| line.contains("start of the kernel"));
    let metrics = http::get(node.ready.address("http"), "/metrics").body;
    let value = metrics.lines().find_map(|l| l.strip_prefix("lamplight_kernel_to_ready_seconds "));
    let seconds: f64 = value.expect("the metric").parse().expect("a number");
    assert!(seconds > 0.0, "{seconds}");
}
