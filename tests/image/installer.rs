//! The installation medium: it names the disks, writes the one that is meant, and what it wrote
//! starts.

use std::path::Path;
use std::process::Command;

use lamplight_tests::machine::{Hardware, Machine, START_WITHIN, built, run};

const ISO: &str = concat!("lamplight-", env!("CARGO_PKG_VERSION"), "-installer.iso");

/// An empty disk.
fn empty(dir: &Path) -> std::path::PathBuf {
    let disk = dir.join("empty.img");
    let file = std::fs::File::create(&disk).expect("a file");
    file.set_len(1 << 20).expect("a file");
    disk
}

#[test]
fn from_a_virtual_cd_somebody_chooses_the_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let iso = built(ISO);
    let extra = [
        "-drive",
        &format!("file={},format=raw,if=none,id=cd,readonly=on,media=cdrom", iso.display()),
    ]
    .into_iter()
    .chain(["-device", "ide-cd,drive=cd,id=cdrom,bootindex=1"])
    .map(str::to_owned)
    .collect();
    let machine =
        Machine::start_with(Hardware { extra, ..Hardware::default() }, None, &empty(dir.path()));
    let serial = &machine.serial;
    serial.expect("Number of the disk to write to:", START_WITHIN);
    serial.type_in("9\r");
    serial.expect("There is no such number", START_WITHIN);
    serial.expect("Number of the disk to write to:", START_WITHIN);
    serial.type_in("1\r");
    serial.expect("Type the word erase to go on:", START_WITHIN);
    serial.type_in("no\r");
    serial.expect("Nothing was written", START_WITHIN);
    serial.expect("Number of the disk to write to:", START_WITHIN);
    serial.type_in("1\r");
    serial.expect("Type the word erase to go on:", START_WITHIN);
    serial.type_in("erase\r");
    serial.expect("Reading again: 100 %", START_WITHIN);
    serial.expect("press Enter to restart", START_WITHIN);
    machine.qmp.command("eject", &serde_json::json!({ "id": "cdrom", "force": true }));
    serial.type_in("\r");
    serial.expect("Lamplight: slot A, attempt 1", START_WITHIN);
    serial.expect("Host name [", START_WITHIN);
}

#[test]
fn from_a_stick_with_uefi_answers_choose_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let stick = built(ISO);
    let answers = dir.path().join("answers.img");
    std::fs::File::create(&answers).and_then(|file| file.set_len(4 << 20)).expect("a file");
    let text = dir.path().join("lamplight-install.toml");
    std::fs::write(&text, "disk = \"LAMP1\"\nrestart = true\n").expect("a file");
    let sbin = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    run(Command::new("mkfs.vfat").env("PATH", &sbin).args(["-n", "LAMPLIGHT"]).arg(&answers));
    run(Command::new("mcopy").arg("-i").arg(&answers).arg(&text).arg("::/"));
    let extra = [
        "-device".to_owned(),
        "qemu-xhci,id=usb".to_owned(),
        "-drive".to_owned(),
        format!("file={},format=raw,if=none,id=stick,readonly=on", stick.display()),
        "-device".to_owned(),
        "usb-storage,bus=usb.0,drive=stick,bootindex=1".to_owned(),
        "-drive".to_owned(),
        format!("file={},format=raw,if=none,id=more,readonly=on", answers.display()),
        "-device".to_owned(),
        "usb-storage,bus=usb.0,drive=more".to_owned(),
    ]
    .to_vec();
    let hardware =
        Hardware { extra, has_uefi: true, disk_serial: Some("LAMP1"), ..Hardware::default() };
    let machine = Machine::start_with(hardware, None, &empty(dir.path()));
    machine.serial.expect("Lamplight installer", START_WITHIN);
    machine.serial.expect("serial LAMP1", START_WITHIN);
    machine.serial.expect("Done: the disk holds Lamplight", START_WITHIN);
    // The disk comes first for whoever starts the machine now.
    machine.serial.expect("Lamplight: slot A, attempt 1", START_WITHIN);
}
