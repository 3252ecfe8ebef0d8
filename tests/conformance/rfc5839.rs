//! RFC 5839: conditional notification.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::rlmi::ListNotice;
use lamplight_tests::wire::{Client, Via};
use lamplight_tests::xcap::{EVERYTHING, Tree, rule};

fn setup() -> (Node, [Client; 3]) {
    let node = Node::start_new();
    let clients = node.clients(["alice", "bob", "carol"]);
    clients[0].publish(&pidf::open("sip:alice@example.test", "one"));
    (node, clients)
}

#[test]
fn s6_1_every_notify_of_presence_has_a_tag_and_another_for_another_state() {
    let (_node, [alice, bob, carol]) = setup();
    let watch = bob.subscribe(&alice.aor());
    let first = watch.notify(&bob);
    let tag = first.expect_header("SIP-ETag").to_owned();
    let other = carol.subscribe(&alice.aor()).notify(&carol);
    assert_eq!(other.expect_header("SIP-ETag"), tag, "the same state");
    alice.publish_again(&pidf::open(&alice.aor(), "two"));
    let second = watch.notify(&bob);
    assert_ne!(second.expect_header("SIP-ETag"), tag);
}

#[test]
fn s6_3_a_refresh_by_who_has_it_is_204_and_nothing_follows() {
    let (_node, [alice, bob, _]) = setup();
    let mut watch = bob.subscribe(&alice.aor());
    let tag = watch.notify(&bob).expect_header("SIP-ETag").to_owned();
    let refresh = watch.next(1800).header("Suppress-If-Match", &tag);
    let answer = bob.in_dialog(&mut watch.dialog, refresh).expect_status(204);
    assert_eq!(answer.expect_header("Expires"), "1800");
    bob.barrier();
    assert_eq!(bob.count(|m| watch.is_notify(m)), 1);
    // What changes is told, and what was asked for last still is where it comes back.
    alice.publish_again(&pidf::open(&alice.aor(), "two"));
    assert!(watch.notify(&bob).text().contains("two"));
    alice.publish_again(&pidf::open(&alice.aor(), "one"));
    bob.barrier();
    assert_eq!(bob.count(|m| watch.is_notify(m)), 2, "the watcher has a copy of that");
    // Who asks no longer is told as everybody is.
    watch.refresh(&bob, 3600).expect_status(200);
    assert!(watch.notify(&bob).text().contains("one"));
}

#[test]
fn s6_3_a_tag_of_an_older_state_suppresses_nothing() {
    let (_node, [alice, bob, _]) = setup();
    let mut watch = bob.subscribe(&alice.aor());
    let tag = watch.notify(&bob).expect_header("SIP-ETag").to_owned();
    alice.publish_again(&pidf::open(&alice.aor(), "two"));
    watch.notify(&bob);
    let refresh = watch.next(3600).header("Suppress-If-Match", &tag);
    bob.in_dialog(&mut watch.dialog, refresh).expect_status(200);
    assert!(watch.notify(&bob).text().contains("two"));
}

#[test]
fn s5_4_and_s5_5_outside_a_dialog_the_notify_comes_without_a_body() {
    let (_node, [alice, bob, _]) = setup();
    let tag = bob.subscribe(&alice.aor()).notify(&bob).expect_header("SIP-ETag").to_owned();
    for expires in ["0", "3600"] {
        let ask = bob.subscription(&alice.aor()).header("Suppress-If-Match", &tag);
        let watch = bob.subscribe_with(ask.set("Expires", expires));
        let notify = watch.notify(&bob);
        assert_eq!(notify.expect_header("SIP-ETag"), tag);
        assert!(notify.body.is_empty() && notify.header("Content-Type").is_none(), "{notify}");
    }
}

#[test]
fn s5_7_who_ends_and_has_it_is_not_told_again() {
    let (_node, [alice, bob, _]) = setup();
    let mut watch = bob.subscribe(&alice.aor());
    let tag = watch.notify(&bob).expect_header("SIP-ETag").to_owned();
    let end = watch.next(0).header("Suppress-If-Match", &tag);
    bob.in_dialog(&mut watch.dialog, end).expect_status(204);
    bob.barrier();
    assert_eq!(bob.count(|m| watch.is_notify(m)), 1);
    let gone = watch.next(3600);
    bob.in_dialog(&mut watch.dialog, gone).expect_status(481);
}

#[test]
fn s5_2_a_quenched_watcher_learns_only_of_its_subscription() {
    let (node, [alice, bob, _]) = setup();
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    let quench = watch.next(3600).header("Suppress-If-Match", "*");
    bob.in_dialog(&mut watch.dialog, quench).expect_status(204);
    alice.publish_again(&pidf::open(&alice.aor(), "two"));
    bob.barrier();
    assert_eq!(bob.count(|m| watch.is_notify(m)), 1);
    let tree = Tree::of(&node, &alice);
    tree.put_rules(&rule("b", &bob.aor(), "confirm", EVERYTHING));
    let pending = watch.notify(&bob);
    assert!(pending.expect_header("Subscription-State").starts_with("pending"), "{pending}");
    tree.put_rules(&rule("b", &bob.aor(), "allow", EVERYTHING));
    let active = watch.notify(&bob);
    assert!(active.expect_header("Subscription-State").starts_with("active"), "{active}");
    assert!(active.body.is_empty(), "{active}");
}

#[test]
fn s6_5_a_list_that_is_known_is_not_told_again() {
    let (node, [alice, bob, carol]) = setup();
    node.appliance(&["set", "policy", "list-interval", "0"]).expect_done();
    let body = format!(
        "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
         <entry uri=\"{}\"/><entry uri=\"{}\"/></list></resource-lists>",
        alice.aor(),
        bob.aor()
    );
    let list = carol.subscription("sip:rls@example.test").header("Supported", "eventlist");
    let mut watch = carol.subscribe_with(list.body("application/resource-lists+xml", body));
    watch.notify(&carol);
    bob.publish(&pidf::open(&bob.aor(), "bob"));
    let partial = watch.notify(&carol);
    assert!(!ListNotice::of(&partial).is_full);
    let tag = partial.expect_header("SIP-ETag").to_owned();
    let refresh = watch.next(3600).header("Supported", "eventlist");
    let refresh = refresh.header("Suppress-If-Match", &tag);
    carol.in_dialog(&mut watch.dialog, refresh).expect_status(204);
    alice.publish_again(&pidf::open(&alice.aor(), "two"));
    let next = ListNotice::of(&watch.notify(&carol));
    assert!(!next.is_full && next.members.len() == 1, "{next:?}");
    assert_eq!(next.version, 2, "a NOTIFY that was not sent is not counted");
}

#[test]
fn a_suppressed_refresh_over_a_new_connection_moves_the_subscription_there() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    alice.publish(&pidf::open(&alice.aor(), "one"));
    let first = node.client_over(Via::Tcp, "bob");
    let mut watch = first.subscribe(&alice.aor());
    let tag = watch.notify(&first).expect_header("SIP-ETag").to_owned();
    drop(first);
    let second = node.client_over(Via::Tcp, "bob");
    let contact = format!("<{}>", second.contact());
    let refresh = watch.next(3600).header("Suppress-If-Match", &tag).header("Contact", contact);
    second.in_dialog(&mut watch.dialog, refresh).expect_status(204);
    alice.publish_again(&pidf::open(&alice.aor(), "two"));
    second.expect("the change", |m| m.method() == Some("NOTIFY") && m.text().contains("two"));
    drop(bob);
}
