//! a full disk stops no presence, and somebody is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use lamplight_tests::http;
use lamplight_tests::node::{Node, Setup, eventually};
use lamplight_tests::pidf;

/// A file system of its own, large enough for the smallest machine, unmounted in the end.
struct Tiny {
    dir: PathBuf,
}

impl Tiny {
    /// `None` when this machine does not let us mount.
    fn mount(dir: &Path) -> Option<Self> {
        std::fs::create_dir(dir).expect("make the mount point");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3g,mode=0700", "tmpfs"])
            .arg(dir)
            .output();
        let mounted = done.is_ok_and(|o| o.status.success());
        mounted.then(|| Self { dir: dir.to_owned() })
    }

    /// Leaves no room: the file system is made as small as what it holds.
    fn fill(&self) {
        eventually("the file system to shrink", || {
            let held = nix::sys::statvfs::statvfs(&self.dir).expect("its size");
            let used = (held.blocks() - held.blocks_free()) * held.fragment_size();
            self.resize(&used.to_string()).then_some(())
        });
    }

    /// Leaves no room by a file that takes all there is.
    fn stuff(&self) {
        let held = nix::sys::statvfs::statvfs(&self.dir).expect("its size");
        let free = held.blocks_free() * held.fragment_size();
        let done = Command::new("fallocate")
            .args(["-l", &free.to_string()])
            .arg(self.dir.join("stuffing"))
            .output();
        assert!(done.is_ok_and(|o| o.status.success()), "the file system is stuffed");
    }

    fn free(&self) {
        assert!(self.resize("3g"), "the file system grows again");
    }

    fn resize(&self, size: &str) -> bool {
        let option = format!("remount,size={size}");
        let done = Command::new("mount").args(["-o", &option]).arg(&self.dir).output();
        done.is_ok_and(|o| o.status.success())
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        // Lazily: the daemon may still hold files.
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
    }
}

#[test]
fn a_full_disk_stops_neither_publish_nor_subscribe_and_raises_an_alarm() {
    let outer = tempfile::tempdir().expect("a directory");
    let Some(tiny) = Tiny::mount(&outer.path().join("tiny")) else {
        eprintln!("NOT TESTED: this user may not mount a tmpfs, so no full disk can be made");
        return;
    };
    let node = Setup::default().storing_in(&tiny.dir.join("data")).start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    tiny.fill();
    for i in 0..200 {
        let note = format!("full-{i}-{}", "x".repeat(2_000));
        alice.publish_again(&pidf::open(&alice.aor(), &note));
    }
    watch.notify_with(&bob, "on a full disk", |m| m.text().contains("full-199-"));
    bob.subscribe(&alice.aor()).notify(&bob);
    alice.register();
    assert!(standing_alarm(&node).is_some(), "an alarm names the store or the disk");
    // Hard state is not acknowledged while it cannot be kept.
    let told = node.appliance(&["user", "add", "carol"]);
    assert_eq!(told.code, Some(1), "{}{}", told.out, told.err);
    tiny.free();
    eventually("the store to recover", || {
        (node.appliance(&["user", "add", "carol"]).code == Some(0)).then_some(())
    });
    alice.publish_again(&pidf::open(&alice.aor(), "room again"));
    watch.notify_with(&bob, "with room again", |m| m.text().contains("room again"));
    drop(node);
}

#[test]
fn a_full_disk_does_not_keep_it_from_starting() {
    let outer = tempfile::tempdir().expect("a directory");
    let Some(tiny) = Tiny::mount(&outer.path().join("tiny")) else {
        eprintln!("NOT TESTED: this user may not mount a tmpfs, so no full disk can be made");
        return;
    };
    let mut node = Setup::default().storing_in(&tiny.dir.join("data")).start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let reserve = node.data_dir().join("reserve");
    eventually("the reserve", || reserve.metadata().is_ok_and(|d| d.len() > 0).then_some(()));
    drop((alice, bob));
    tiny.stuff();
    for _ in 0..3 {
        node.crash_and_restart();
        let [alice, bob] = ["alice", "bob"].map(|name| node.client(name));
        let watch = bob.subscribe(&alice.aor());
        watch.notify(&bob);
        alice.publish(&pidf::open(&alice.aor(), "on a full disk"));
        watch.notify_with(&bob, "the state", |m| m.text().contains("on a full disk"));
        eventually("the alarm", || {
            let alarms = node.appliance(&["show", "alarms"]).expect_done();
            alarms.contains("disk-low").then_some(())
        });
    }
    std::fs::remove_file(tiny.dir.join("stuffing")).expect("room again");
    eventually("the end of the alarm", || {
        let metrics = http::get(node.ready.address("http"), "/metrics").body;
        (!metrics.contains("disk-low")).then_some(())
    });
    drop(node);
}

fn standing_alarm(node: &Node) -> Option<String> {
    eventually("an alarm", || {
        let alarms = node.appliance(&["show", "alarms"]).expect_done().to_lowercase();
        (alarms.contains("store") || alarms.contains("disk")).then_some(Some(alarms))
    })
}
