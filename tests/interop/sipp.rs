//! SIPp (Debian package sip-tester): scenarios with digest, one call each.

use std::path::Path;
use std::process::Command;

use lamplight_tests::node::{Node, PASSWORD};
use lamplight_tests::pidf;
use lamplight_tests::program::{Program, free_port, installed};

use crate::old_phones;

fn sipp(node: &Node, scenario: &str, user: &str, port: u16) -> Command {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/sipp");
    let mut command = Command::new(installed("sipp", "sip-tester"));
    command
        .current_dir(node.dir.path())
        .env("TERM", "dumb")
        .arg(node.ready.address("udp").to_string())
        .arg("-sf")
        .arg(scenarios.join(format!("{scenario}.xml")))
        .args(["-i", "127.0.0.1", "-p", &port.to_string()])
        .args(["-s", user, "-au", user, "-ap", PASSWORD])
        .args([
            "-m",
            "1",
            "-auth_uri",
            "sip:example.test",
            "-timeout",
            "40s",
            "-timeout_error",
            "-nostdin",
        ])
        .args(["-trace_err", "-error_file", &format!("{scenario}.err")])
        .args(["-trace_msg", "-message_file", &format!("{scenario}.msg")]);
    command
}

/// Waits for the end, which must be a success.
#[track_caller]
fn succeed(node: &Node, scenario: &str, mut program: Program) {
    let status = program.wait();
    let read = |kind: &str| {
        let path = node.dir.path().join(format!("{scenario}.{kind}"));
        std::fs::read_to_string(path).unwrap_or_default()
    };
    assert!(
        status.success(),
        "SIPp's {scenario} failed with {status}:\n{}\n{}",
        read("err"),
        read("msg")
    );
}

#[track_caller]
fn run(node: &Node, scenario: &str, user: &str, port: u16) {
    let program = Program::start(&mut sipp(node, scenario, user, port));
    succeed(node, scenario, program);
}

#[test]
fn sipp_registers() {
    let node = old_phones();
    node.add_user("caller");
    run(&node, "register", "caller", free_port());
    let listed = node.appliance(&["show", "registrations"]).expect_done();
    assert!(listed.contains("caller"), "{listed}");
}

#[test]
fn sipp_publishes_refreshes_modifies_and_removes() {
    let node = old_phones();
    let [watched, watcher] = node.clients(["watched", "watcher"]);
    let watch = watcher.subscribe(&watched.aor());
    watch.notify(&watcher);
    run(&node, "publish", "watched", free_port());
    // SIPp is quick: what changes while a NOTIFY is under way may reach the watcher as one.
    watch.notify_with(&watcher, "of SIPp", |m| m.text().contains("by SIPp"));
    watch.notify_with(&watcher, "without SIPp", |m| !m.text().contains("SIPp"));
}

#[test]
fn sipp_subscribes_is_notified_and_unsubscribes() {
    let node = old_phones();
    let [watched, _caller] = node.clients(["watched", "caller"]);
    watched.publish(&pidf::open(&watched.aor(), "watched by SIPp"));
    run(&node, "subscribe", "caller", free_port());
    let listed = node.appliance(&["show", "subscriptions"]).expect_done();
    assert!(!listed.contains("caller"), "{listed}");
}

#[test]
fn sipp_sends_a_message_to_sipp() {
    let node = old_phones();
    node.import_users(["caller", "callee"]).expect_done();
    let port = free_port();
    run(&node, "register", "callee", port);
    let callee = Program::start(&mut sipp(&node, "message_uas", "callee", port));
    run(&node, "message", "caller", free_port());
    succeed(&node, "message_uas", callee);
}

#[test]
fn sipp_calls_sipp() {
    let node = old_phones();
    node.import_users(["caller", "callee"]).expect_done();
    let port = free_port();
    run(&node, "register", "callee", port);
    let callee = Program::start(&mut sipp(&node, "invite_uas", "callee", port));
    run(&node, "invite", "caller", free_port());
    succeed(&node, "invite_uas", callee);
}
