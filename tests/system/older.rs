//! Data that older versions have left, as they left it: `data/VERSION.tar.zst` is the data directory
//! of a node of that version after three users were added (one of them disabled), and one had
//! registered, published and subscribed.

use std::path::Path;
use std::process::Command;

use lamplight_tests::node::{DOMAIN, Setup};
use lamplight_tests::program::installed;
use lamplight_tests::wire::{Client, Via};

#[test]
fn what_older_versions_have_kept_is_read() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("system/data");
    let mut versions = 0;
    for entry in std::fs::read_dir(kept).expect("the data of older versions") {
        let archive = entry.expect("an entry").path();
        let dir = tempfile::tempdir().expect("a directory");
        let unpacked = Command::new("tar")
            .arg("--use-compress-program")
            .arg(installed("zstd", "zstd"))
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(dir.path())
            .status();
        assert!(unpacked.expect("tar").success(), "{}", archive.display());
        let node = Setup::default().storing_in(dir.path()).start();
        for user in ["anna", "berta", "clara"] {
            let shown = node.appliance(&["show", "user", user]).expect_done();
            assert!(shown.contains(&format!("{user} Berg")), "{}: {shown}", archive.display());
        }
        let alarms = node.appliance(&["show", "alarms"]).expect_done();
        assert!(!alarms.contains("snapshot") && !alarms.contains("store"), "{alarms}");
        // Who had a password still has it.
        let server = node.ready.address("udp");
        let anna = Client::new(Via::Udp, server, DOMAIN, "anna", "open sesame anna");
        anna.register().expect_status(200);
        versions += 1;
    }
    assert!(versions > 0, "nothing was tried");
}
