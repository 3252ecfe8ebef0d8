//! The boot loader: it cannot be talked to, and it counts what does not start.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use lamplight_tests::machine::{Hardware, Machine, START_WITHIN, built, run};

/// Where the first slot's root begins: `start`, `bios`, `esp` and two `boot` of `image/layout.toml`.
const ROOT_A_MIB: u64 = 1 + 1 + 32 + 2 * 64;

#[test]
fn a_flipped_bit_is_caught_and_counted_and_nobody_can_talk_to_the_boot_loader() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.img");
    let image = built(concat!("lamplight-", env!("CARGO_PKG_VERSION"), ".img"));
    run(Command::new("cp").arg("--sparse=always").args([&image, &disk]));
    let file = fs::OpenOptions::new().read(true).write(true).open(&disk).unwrap();
    let mut octet = [0];
    // In the first block, which every start reads.
    let at = (ROOT_A_MIB << 20) + 1_000;
    file.read_exact_at(&mut octet, at).unwrap();
    file.write_all_at(&[octet[0] ^ 1], at).unwrap();

    let machine = Machine::start_with(Hardware::default(), None, &disk);
    // Whoever hammers on the keyboard meets no menu, no editor, no prompt.
    for _ in 0..40 {
        machine.qmp.press(&["esc"]);
        machine.qmp.press(&["e"]);
        machine.qmp.press(&["c"]);
        machine.qmp.press(&["shift"]);
        machine.serial.type_in("ec\u{1b}");
    }
    machine.serial.expect("Lamplight: slot A, attempt 1 of 3", START_WITHIN);
    machine.serial.expect_through_panic("dm-verity device corrupted", START_WITHIN);
    machine.serial.expect_through_panic("Lamplight: slot A, attempt 2 of 3", START_WITHIN);
    machine.serial.expect_through_panic("dm-verity device corrupted", START_WITHIN);
    machine.serial.expect_through_panic("Lamplight: slot A, attempt 3 of 3", START_WITHIN);
    let text = machine.serial.text();
    assert!(!text.contains("grub>") && !text.contains("Minimal BASH"), "{text}");
    // No other slot is there: it begins again rather than stand still.
    machine.serial.expect_through_panic("Lamplight: slot A, attempt 1 of 3", START_WITHIN);
}
