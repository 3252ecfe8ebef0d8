//! The load generator in small: what measures the node must not rot, and serves as a test too.

use std::process::Command;
use std::time::{Duration, Instant};

use lamplight_tests::node::build;

/// Runs the generator, which fails when anything that it asked for was not done; what it wrote.
#[track_caller]
fn load(arguments: &str) -> String {
    // It starts the programs that lie beside it.
    build::binary("presenced");
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    let output = command.args(arguments.split(' ')).output().expect("load runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "load {arguments}\n{told}{errors}");
    assert!(began.elapsed() < Duration::from_secs(60), "too slow for a test:\n{told}");
    told
}

#[track_caller]
fn all_phases_pass(transport: &str) {
    let told = load(&format!(
        "bench --only lamplight --transport {transport} --presentities 20 --watchers 30 \
         --rounds 2 --runs 1 --phases publish,subscribe,fan-out,refresh,unsubscribe"
    ));
    let fan_out = told.lines().find(|line| line.starts_with("fan-out")).expect("fan-out");
    assert!(fan_out.contains(" 1200 "), "20 x 30 x 2 NOTIFYs: {fan_out}");
}

#[test]
fn all_phases_pass_over_udp() {
    all_phases_pass("udp");
}

#[test]
fn all_phases_pass_over_tcp() {
    all_phases_pass("tcp");
}

#[test]
fn all_phases_pass_over_tls() {
    all_phases_pass("tls");
}

#[test]
fn clients_that_sign_in_all_at_once_are_all_served() {
    for algorithm in ["MD5", "SHA-256"] {
        let told =
            load(&format!("storm --users 50 --contacts 20 --seconds 1 --algorithm {algorithm}"));
        assert!(told.contains("50 challenges"), "one each: {told}");
    }
}

#[test]
fn subscriptions_outlive_a_stop_and_a_kill() {
    load("restart --presentities 50 --watchers 20 --brief 0");
}

#[test]
fn idle_connections_are_counted() {
    load("idle --connections 50");
}
