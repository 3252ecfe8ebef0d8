//! A little of everything at once: what must not pile up.

use lamplight_tests::node::{Setup, member};
use lamplight_tests::pidf;
use lamplight_tests::wire::Via;

#[test]
fn a_hundred_watchers_of_one_user_all_see_the_last_state() {
    let node = Setup::default().trusting().start();
    let [alice, _bob] = node.clients(["alice", "bob"]);
    let watchers: Vec<_> = (0..100)
        .map(|i| {
            let via = if i % 10 == 0 { Via::Tcp } else { Via::Udp };
            let watcher = node.client_over(via, "bob");
            let watch = watcher.subscribe(&alice.aor());
            (watcher, watch)
        })
        .collect();
    for i in 0..5 {
        alice.publish_again(&pidf::open(&alice.aor(), &format!("wave-{i}-")));
    }
    for (watcher, watch) in &watchers {
        watch.notify_with(watcher, "of the last wave", |m| m.text().contains("wave-4-"));
    }
    let all = node.appliance(&["--json", "show", "watchers", "alice"]).json();
    assert_eq!(member(&all, "total").and_then(|t| t.as_u64()), Some(100), "{all}");
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let node = Setup::default().trusting().start();
    let [alice] = node.clients(["alice"]);
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", node.pid())).expect("descriptors").count();
    alice.barrier();
    let before = descriptors();
    for _ in 0..200 {
        let passer_by = node.client_over(Via::Tcp, "alice");
        passer_by.write(b"OPTIONS sip:example.test SIP/2.0\r\nVia: SIP/2.0/TCP x;bra");
        passer_by.shut();
    }
    lamplight_tests::node::eventually("the descriptors to be closed", || {
        (descriptors() <= before + 5).then_some(())
    });
    alice.barrier();
}
