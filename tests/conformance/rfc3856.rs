//! RFC 3856: the presence event package.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::wire::{Client, Request};

fn pair() -> (Node, Client, Client) {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

#[test]
fn s6_4_the_default_subscription_lasts_an_hour() {
    let (_node, alice, bob) = pair();
    let answer = bob.request(bob.subscription(&alice.aor()).without("Expires")).expect_status(200);
    assert_eq!(answer.expect_header("Expires"), "3600");
}

#[test]
fn s6_3_a_body_in_subscribe_is_no_reason_to_refuse() {
    let (_node, alice, bob) = pair();
    // §6.3: filters may be ignored by a server that does not know them.
    let filter = "<?xml version=\"1.0\"?><filter-set xmlns=\"urn:x\"/>";
    let request = bob.subscription(&alice.aor());
    let request = request.body("application/simple-filter+xml", filter);
    bob.request(request).expect_one_of(&[200, 415]);
}

#[test]
fn s6_5_notify_bodies_are_pidf() {
    let (_node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "here"));
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.expect_header("Content-Type").starts_with("application/pidf+xml"));
    assert_eq!(notify.expect_header("Content-Length"), notify.body.len().to_string());
    let document = Presence::of(&notify);
    assert_eq!(document.entity, alice.aor());
    assert!(document.is_open());
    assert!(document.tuples.iter().any(|t| t.notes.contains(&"here".to_owned())), "{notify}");
}

#[test]
fn s6_6_1_subscribers_are_authenticated() {
    let (_node, alice, bob) = pair();
    bob.transact(bob.subscription(&alice.aor())).expect_status(401);
}

#[test]
fn s6_6_2_a_presentity_that_does_not_exist_is_404() {
    let (_node, _alice, bob) = pair();
    bob.request(bob.subscription("sip:nobody@example.test")).expect_status(404);
}

#[test]
fn s6_6_2_another_domain_is_not_ours_to_notify_for() {
    let (_node, _alice, bob) = pair();
    let answer = bob.request(bob.subscription("sip:someone@elsewhere.invalid"));
    assert!(answer.status().is_some_and(|s| s >= 400), "{answer}");
}

#[test]
fn s6_7_every_change_reaches_every_watcher() {
    let node = Setup::default().trusting().start();
    let [alice, bob, carol, dave] = node.clients(["alice", "bob", "carol", "dave"]);
    let watches = [&bob, &carol, &dave].map(|w| (w, w.subscribe(&alice.aor())));
    for note in ["at lunch", "back", "gone"] {
        alice.publish_again(&pidf::open(&alice.aor(), note));
        for (watcher, watch) in &watches {
            watch.notify_with(watcher, note, |m| m.text().contains(note));
        }
    }
}

#[test]
fn s6_7_a_refresh_without_a_change_tells_nobody() {
    let (_node, alice, bob) = pair();
    let etag = alice.publish(&pidf::open(&alice.aor(), "steady"));
    let watch = bob.subscribe(&alice.aor());
    watch.notify_with(&bob, "with the state", |m| m.text().contains("steady"));
    bob.barrier();
    let before = bob.count(|m| watch.is_notify(m));
    let answer = alice.republish(&etag, None, 3600).expect_status(200);
    let etag = answer.expect_header("SIP-ETag");
    let same = pidf::open(&alice.aor(), "steady");
    alice.republish(etag, Some(&same), 3600).expect_status(200);
    bob.barrier();
    assert_eq!(bob.count(|m| watch.is_notify(m)), before, "the same document is no news");
}

#[test]
fn s6_7_watching_oneself_works() {
    let (_node, alice, _bob) = pair();
    let watch = alice.subscribe(&alice.aor());
    alice.publish(&pidf::open(&alice.aor(), "me"));
    watch.notify_with(&alice, "of one's own state", |m| m.text().contains("me"));
}

#[test]
fn s5_pres_uris_mean_the_same_user() {
    let (_node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "by pres:"));
    let request = Request { uri: "pres:alice@example.test".to_owned(), ..bob.subscription("") };
    let watch = bob.subscribe_with(request.set("To", "<pres:alice@example.test>"));
    let notify = watch.notify(&bob);
    assert!(notify.text().contains("by pres:"), "{notify}");
}

#[test]
fn s6_4_the_host_of_an_address_is_compared_without_case() {
    let (_node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "case"));
    let notify = bob.subscribe("sip:alice@EXAMPLE.Test").notify(&bob);
    assert!(notify.text().contains("case"), "{notify}");
}

#[test]
fn s6_5_nobody_signed_in_is_a_valid_document_that_is_not_open() {
    let (_node, alice, bob) = pair();
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    let document = Presence::of(&notify);
    assert_eq!(document.entity, alice.aor());
    assert!(!document.is_open(), "{notify}");
}
