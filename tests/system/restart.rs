//! Nothing that was acknowledged is lost, and clients notice nothing but a pause.

use lamplight_tests::node::{Node, PASSWORD, member};
use lamplight_tests::pidf;
use lamplight_tests::wire::message::uri_of;
use lamplight_tests::wire::{Client, Via};

fn pair() -> (Node, Client, Client) {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

fn bindings(client: &Client) -> Vec<String> {
    let answer = client.request(client.registration()).expect_status(200);
    answer.all("Contact").iter().map(|c| uri_of(c).to_owned()).collect()
}

#[test]
fn a_registration_survives_kill_9_right_after_its_200() {
    let (mut node, alice, bob) = pair();
    alice.register();
    node.crash_and_restart();
    assert_eq!(bindings(&alice), [alice.contact()]);
    bob.message(&alice.aor(), "still reachable").expect_status(200);
    assert_eq!(alice.expect_request("MESSAGE").text(), "still reachable");
}

#[test]
fn a_removed_registration_stays_removed() {
    let (mut node, alice, _bob) = pair();
    alice.register();
    alice.unregister();
    node.crash_and_restart();
    assert!(bindings(&alice).is_empty());
}

#[test]
fn a_publication_survives_kill_9_right_after_its_200() {
    let (mut node, alice, bob) = pair();
    let etag = alice.publish(&pidf::open(&alice.aor(), "outlives"));
    node.crash_and_restart();
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.text().contains("outlives"), "{notify}");
    let changed = pidf::open(&alice.aor(), "goes on");
    alice.republish(&etag, Some(&changed), 3600).expect_status(200);
    bob.expect("a NOTIFY", |m| m.text().contains("goes on") && !m.text().contains("outlives"));
}

#[test]
fn a_removed_publication_stays_removed() {
    let (mut node, alice, bob) = pair();
    let etag = alice.publish(&pidf::open(&alice.aor(), "withdrawn"));
    alice.republish(&etag, None, 0).expect_status(200);
    node.crash_and_restart();
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(!notify.text().contains("withdrawn"), "{notify}");
    alice.republish(&etag, None, 3600).expect_status(412);
}

#[test]
fn a_subscription_survives_kill_9_right_after_its_200_and_cseq_goes_on() {
    let (mut node, alice, bob) = pair();
    alice.publish_again(&pidf::open(&alice.aor(), "zero"));
    let mut watch = bob.subscribe(&alice.aor());
    let mut last = watch.notify(&bob).cseq().0;
    for round in ["one", "two", "three"] {
        node.crash_and_restart();
        alice.publish_again(&pidf::open(&alice.aor(), round));
        let fits = |m: &lamplight_tests::wire::Message| m.text().contains(round);
        let notify = watch.notify_with(&bob, round, fits);
        assert!(notify.cseq().0 > last, "R-01: {} after {last}: {notify}", notify.cseq().0);
        last = notify.cseq().0;
    }
    watch.refresh(&bob, 1200).expect_status(200);
    assert!(watch.notify(&bob).cseq().0 > last);
    let numbers: Vec<u32> =
        bob.log().iter().filter(|m| watch.is_notify(m)).map(|m| m.cseq().0).collect();
    assert!(numbers.windows(2).all(|w| w[0] <= w[1]), "never back: {numbers:?}");
}

#[test]
fn an_ended_subscription_stays_ended() {
    let (mut node, alice, bob) = pair();
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    watch.refresh(&bob, 0).expect_status(200);
    node.crash_and_restart();
    watch.refresh(&bob, 600).expect_status(481);
    alice.publish(&pidf::open(&alice.aor(), "unseen"));
    bob.barrier();
    assert_eq!(bob.count(|m| m.text().contains("unseen")), 0);
}

#[test]
fn a_user_survives_kill_9_right_after_user_add() {
    let mut node = Node::start_new();
    node.add_user("carol");
    node.crash_and_restart();
    node.client("carol").register();
    node.appliance(&["user", "delete", "carol"]).expect_done();
    node.crash_and_restart();
    let carol = node.client("carol");
    carol.request(carol.registration()).expect_one_of(&[401, 403, 404]);
}

#[test]
fn a_changed_password_survives_kill_9_and_the_old_one_is_dead() {
    let mut node = Node::start_new();
    node.add_user("dave");
    let told =
        node.appliance_with(&["user", "password", "dave", "password-stdin"], "another-secret-9\n");
    told.expect_done();
    node.crash_and_restart();
    let old = node.client("dave");
    assert_eq!(old.password, PASSWORD);
    old.request(old.registration()).expect_one_of(&[401, 403]);
    let server = node.ready.address("udp");
    Client::new(Via::Udp, server, &old.domain, "dave", "another-secret-9").register();
}

#[test]
fn sigterm_ends_cleanly_and_keeps_everything() {
    let (mut node, alice, bob) = pair();
    alice.register();
    let watch = bob.subscribe(&alice.aor());
    let last = watch.notify(&bob).cseq().0;
    let status = node.terminate();
    assert!(status.success(), "{status}: {}", node.output());
    node.start();
    assert_eq!(bindings(&alice), [alice.contact()]);
    alice.publish(&pidf::open(&alice.aor(), "after the stop"));
    let notify = watch.notify_with(&bob, "after the stop", |m| m.text().contains("after the stop"));
    assert!(notify.cseq().0 > last, "{notify}");
}

#[test]
fn many_kills_in_a_row_lose_nothing() {
    let (mut node, alice, bob) = pair();
    let watch = bob.subscribe(&alice.aor());
    let mut last = watch.notify(&bob).cseq().0;
    for round in 0..10 {
        let note = format!("round-{round}-");
        alice.publish_again(&pidf::open(&alice.aor(), &note));
        node.crash_and_restart();
        let etag = alice.etag().expect("published");
        alice.republish(&etag, None, 3600).expect_status(200);
        // The refresh gave a new tag: publish anew in its place next time.
        let listed = node.appliance(&["--json", "show", "presence", "alice"]).json();
        let document = member(&listed, "document_xml").and_then(|d| d.as_str()).unwrap_or_default();
        assert!(document.contains(&note), "{document}");
        let text = note.clone();
        let seen = watch.notify_with(&bob, &note, move |m| m.text().contains(&text));
        assert!(seen.cseq().0 > last);
        last = seen.cseq().0;
        alice.forget_etag();
        let all = node.appliance(&["--json", "show", "subscriptions"]).json();
        assert_eq!(member(&all, "total").and_then(|t| t.as_u64()), Some(1), "{all}");
    }
}

#[test]
fn expired_state_does_not_come_back_after_a_pause() {
    let (mut node, alice, bob) = pair();
    let contact = format!("<{}>", alice.contact());
    let brief = alice.registration().header("Contact", &contact).header("Expires", 1);
    let refused = alice.request(brief.clone()).expect_status(423);
    let least: u64 = refused.expect_header("Min-Expires").parse().expect("a number");
    alice.request(brief.set("Expires", least)).expect_status(200);
    node.kill();
    // The pause itself is what is tested: the binding's time runs out while nobody serves.
    std::thread::park_timeout(std::time::Duration::from_secs(least + 1));
    node.start();
    assert!(bindings(&alice).is_empty());
    bob.message(&alice.aor(), "?").expect_status(202);
}
