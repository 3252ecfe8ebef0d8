//! A data partition without room: presence goes on, somebody is told, and settings can be saved.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lamplight_tests::machine::bundle;
use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Hardware, Machine, Ports, run};
use lamplight_tests::node::{eventually, member};
use lamplight_tests::pidf;
use lamplight_tests::program::installed;
use lamplight_tests::wire::{Client, Via};

use crate::start::{answers, restart, until_serving};

/// Blocks of 4 KiB that are left, less than what ext4 keeps for root.
const LEFT: u64 = 64;

#[test]
fn a_data_partition_without_room_stops_neither_presence_nor_settings() {
    let key = Key::new();
    let text = format!("{}trusted = [\"10.0.2.2/32\"]\n", answers(&key));
    let mut machine = Machine::start(Hardware::default(), Some(&text));
    until_serving(&machine);
    machine.ssh(&key, "user add anna").expect_done();
    machine.qmp.press_power();
    machine.wait_off();
    fill(&machine.disk());
    machine.switch_on();
    until_serving(&machine);

    let server = Ports::at(machine.ports.sip);
    let client = |user: &str| Client::new(Via::Udp, server, "example.test", user, "");
    let (anna, watcher) = (client("anna"), client("anna"));
    let watch = watcher.subscribe(&anna.aor());
    watch.notify(&watcher);
    for i in 0..40 {
        let note = format!("full-{i}-{}", "x".repeat(500));
        anna.publish_again(&pidf::open(&anna.aor(), &note));
    }
    watch.notify_with(&watcher, "the last of all", |m| m.text().contains("full-39-"));

    eventually("an alarm", || {
        machine.ssh(&key, "show alarms").expect_done().contains("disk-low").then_some(())
    });
    machine.ssh(&key, "set time zone Asia/Tokyo").expect_done();
    machine.ssh(&key, "set network hostname lamp9").expect_done();

    // Neither an upgrade nor a copy of the data begins where it would not fit.
    machine.put_on_disk("lamp.raucb", &bundle::whole());
    let told = machine.ssh(&key, "utils system upgrade install disk");
    assert!(told.code == Some(1) && told.err.contains("too little space"), "{told:?}");

    restart(&machine, &key);
    let time = machine.ssh(&key, "show time --json").json();
    assert_eq!(member(&time, "zone").unwrap(), "Asia/Tokyo", "{time}");
    machine.ssh(&key, "show user anna").expect_done();
}

/// Leaves next to no room on the data partition of a disk.
#[track_caller]
fn fill(disk: &Path) {
    let raw = disk.with_extension("raw");
    let convert = |from: (&str, &Path), to: (&str, &Path)| {
        run(Command::new(installed("qemu-img", "qemu-utils"))
            .args(["convert", "-f", from.0, "-O", to.0])
            .args([from.1, to.1]));
    };
    convert(("qcow2", disk), ("raw", &raw));
    let start = find(&raw, "data");
    let file_system = format!("{}?offset={start}", raw.display());
    let free = number(&debugfs(&file_system, "stats -h"), "Free blocks:");
    let empty = raw.with_extension("empty");
    File::create(&empty).expect("a file");
    debugfs(&file_system, &format!("write {} filler", empty.display()));
    debugfs(&file_system, &format!("fallocate /filler 0 {}", free - LEFT));
    assert!(number(&debugfs(&file_system, "stats -h"), "Free blocks:") < LEFT);
    convert(("raw", &raw), ("qcow2", disk));
    std::fs::remove_file(raw).expect("a file");
}

fn debugfs(file_system: &str, command: &str) -> String {
    let output = Command::new(debugfs_program())
        .args(["-w", "-R", command, file_system])
        .output()
        .expect("debugfs");
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn debugfs_program() -> PathBuf {
    let sbin = Path::new("/usr/sbin/debugfs");
    if sbin.exists() { sbin.to_owned() } else { installed("debugfs", "e2fsprogs") }
}

#[track_caller]
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
}

/// Where a partition begins, in bytes, as its disk's table (GPT) says.
#[track_caller]
fn find(disk: &Path, name: &str) -> u64 {
    const SECTOR: u64 = 512;
    const ENTRY: usize = 128;
    let file = File::open(disk).expect("a disk");
    let mut table = [0; 128 * ENTRY];
    file.read_exact_at(&mut table, 2 * SECTOR).expect("a table");
    let label: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let entry = table.chunks(ENTRY).find(|entry| entry[56..].starts_with(&label));
    let entry = entry.unwrap_or_else(|| panic!("no partition is named {name}"));
    u64::from_le_bytes(entry[32..40].try_into().expect("8 octets")) * SECTOR
}
