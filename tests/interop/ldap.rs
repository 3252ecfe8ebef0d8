//! Directories: slapd and Samba, as Debian ships them, and servers that do as they should not.

mod active_directory;
mod faults;
mod people;
mod size;

use std::process::Command;

use lamplight_tests::ldap::{ADMIN, BASE, Certificates, SECRET, Slapd};
use lamplight_tests::node::{Node, Told, member};
use lamplight_tests::program::installed;
use serde_json::Value;

/// Sets a directory up over LDAPS, without a schedule.
#[track_caller]
fn set_up(node: &Node, certificates: &Certificates, server: &str, more: &[&str]) {
    let words = ["set", "ldap", "office", "servers", server, "base", BASE, "bind-dn", ADMIN];
    let words = [&words, ["password", "trust"].as_slice(), more].concat();
    let input = format!("{SECRET}\n{}", certificates.authority());
    node.appliance_with(&words, &input).expect_done();
}

fn tls_server(slapd: &Slapd) -> String {
    format!("localhost:{}", slapd.tls_port)
}

/// What a synchronization reports.
#[track_caller]
fn sync(node: &Node, more: &[&str]) -> Value {
    let words = [["--json", "utils", "ldap", "sync", "office"].as_slice(), more].concat();
    report(node.appliance(&words))
}

#[track_caller]
fn report(told: Told) -> Value {
    member(&told.json(), "directory_synced").expect("a report").clone()
}

/// How many, and who.
#[track_caller]
fn counted(report: &Value, what: &str) -> (u64, Vec<String>) {
    let named = &report[what];
    let names = named["names"].as_array().expect("names").iter();
    let names = names.map(|name| name.as_str().expect("a name").to_owned()).collect();
    (named["count"].as_u64().expect("a count"), names)
}

#[track_caller]
fn is(report: &Value, what: &str, who: &[&str]) {
    assert_eq!(counted(report, what).1, who, "{what} in {report}");
}

/// One directory, as it is shown.
#[track_caller]
fn shown(node: &Node) -> Value {
    let told = node.appliance(&["--json", "show", "ldap"]).json();
    member(&told, "directories").expect("directories")[0].clone()
}

/// Status and body of what curl gets from the API.
#[track_caller]
fn api(node: &Node, user: &str, path: &str) -> (u16, Vec<u8>) {
    let url = format!("https://{}{path}", node.ready.address("http"));
    let got = Command::new(installed("curl", "curl"))
        .args(["-sk", "-u", user, "-w", "\n%{http_code}", &url])
        .output()
        .expect("curl");
    let end = got.stdout.len() - 4;
    let status = std::str::from_utf8(&got.stdout[end + 1..]).expect("a status");
    (status.parse().expect("a status"), got.stdout[..end].to_vec())
}

#[track_caller]
fn alarms(node: &Node) -> String {
    node.appliance(&["show", "alarms"]).expect_done()
}
