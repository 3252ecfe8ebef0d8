//! What becomes of presence, devices and watchers when an administrator changes a user.

use lamplight_tests::node::{Node, Setup, eventually, member};
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::wire::{Client, Message, Via};

fn pair() -> (Node, Client, Client) {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

fn state(notify: &Message) -> &str {
    notify.expect_header("Subscription-State")
}

#[test]
fn a_disabled_user_is_shown_offline_and_cannot_be_reached() {
    let (node, alice, bob) = pair();
    alice.register();
    alice.publish(&pidf::open(&alice.aor(), "here"));
    let watch = bob.subscribe(&alice.aor());
    watch.notify_with(&bob, "with the state", |m| m.text().contains("here"));
    node.appliance(&["user", "disable", "alice"]).expect_done();
    watch.notify_with(&bob, "of the disabled user", |m| {
        state(m).starts_with("terminated") || !Presence::of(m).is_open()
    });
    bob.message(&alice.aor(), "?").expect_one_of(&[404, 480]);
    node.appliance(&["user", "enable", "alice"]).expect_done();
    alice.register();
    alice.publish(&pidf::open(&alice.aor(), "back again"));
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.text().contains("back again"), "{notify}");
}

#[test]
fn watchers_of_a_deleted_user_are_told_that_there_is_nothing_to_watch() {
    let (node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "here"));
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify_with(&bob, "with the state", |m| m.text().contains("here"));
    node.appliance(&["user", "delete", "alice"]).expect_done();
    let last = watch.notify_with(&bob, "that ends it", |m| state(m).starts_with("terminated"));
    assert!(state(&last).contains("reason=noresource"), "RFC 6665 §4.1.3: {last}");
    watch.refresh(&bob, 600).expect_one_of(&[404, 481]);
    bob.request(bob.subscription(&alice.aor())).expect_status(404);
    bob.message(&alice.aor(), "?").expect_status(404);
}

#[test]
fn the_subscriptions_of_a_deleted_watcher_end() {
    let (node, alice, bob) = pair();
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    node.appliance(&["user", "delete", "bob"]).expect_done();
    watch.notify_with(&bob, "that ends it", |m| state(m).starts_with("terminated"));
    eventually("the subscription to be gone", || {
        let listed = node.appliance(&["--json", "show", "subscriptions"]).json();
        (member(&listed, "total").and_then(|t| t.as_u64()) == Some(0)).then_some(())
    });
    alice.publish(&pidf::open(&alice.aor(), "not for you"));
    alice.barrier();
    bob.barrier();
    assert_eq!(bob.count(|m| m.text().contains("not for you")), 0);
}

#[test]
fn a_user_deleted_and_added_again_inherits_nothing() {
    let (node, alice, bob) = pair();
    alice.register();
    alice.publish(&pidf::open(&alice.aor(), "of the first alice"));
    node.appliance(&["user", "delete", "alice"]).expect_done();
    node.add_user("alice");
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(!notify.text().contains("of the first alice"), "{notify}");
    bob.message(&alice.aor(), "?").expect_status(202);
}

#[test]
fn a_watcher_on_a_stream_goes_on_over_a_new_one_after_a_crash() {
    let (mut node, alice, _bob) = pair();
    for via in [Via::Tcp, Via::Tls] {
        let before = node.client_over(via, "bob");
        let mut watch = before.subscribe(&alice.aor());
        let last = watch.notify(&before).cseq().0;
        node.crash_and_restart();
        before.expect_closed();
        let after = node.client_over(via, "bob");
        watch.refresh(&after, 1200).expect_status(200);
        assert!(watch.notify(&after).cseq().0 > last);
        let note = format!("over the new {via:?}");
        alice.publish_again(&pidf::open(&alice.aor(), &note));
        watch.notify_with(&after, &note, |m| m.text().contains(&note));
    }
}

#[test]
fn who_changed_what_is_in_the_log() {
    let node = Node::start_new();
    node.appliance(&["user", "add", "alice"]).expect_done();
    node.appliance(&["user", "add", "alice"]).expect_refused();
    let uid = format!("uid={}", nix::unistd::getuid());
    for outcome in ["done", "refused"] {
        node.expect_line("the audit", |line| {
            let is_ours = line.contains(" audit: ") && line.contains("add user alice");
            is_ours && line.contains(outcome) && line.contains(&uid)
        });
    }
}
