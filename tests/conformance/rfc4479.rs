//! RFC 4479 and RFC 4480: several devices of one person, composed into one document.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::wire::{Client, Message, Subscription};

const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";

fn watched() -> (Node, Client, Client, Client, Subscription) {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let cell = node.client("alice");
    let watch = bob.subscribe(&alice.aor());
    (node, alice, cell, bob, watch)
}

fn count(notify: &Message, name: &str) -> usize {
    let text = notify.text();
    let document = roxmltree::Document::parse(&text).expect("well-formed");
    document.descendants().filter(|n| n.has_tag_name((DATA_MODEL, name))).count()
}

#[test]
fn s3_several_devices_make_one_document_with_one_person() {
    let (_node, alice, cell, bob, watch) = watched();
    alice.publish(&pidf::of_device(&alice.aor(), "desk", "open", "away"));
    cell.publish(&pidf::of_device(&cell.aor(), "cell", "open", "on-the-phone"));
    let notify = watch.notify_with(&bob, "with both devices", |m| {
        m.text().contains("urn:x-mac:desk") && m.text().contains("urn:x-mac:cell")
    });
    let read = Presence::of(&notify);
    assert_eq!(read.tuples.len(), 2, "{notify}");
    assert_eq!(count(&notify, "person"), 1, "§3.2: a presentity is one person: {notify}");
    assert_eq!(count(&notify, "device"), 2, "{notify}");
    assert!(notify.text().contains("on-the-phone"), "{notify}");
}

#[test]
fn s3_4_a_published_tuple_keeps_its_device() {
    let (_node, alice, _cell, bob, watch) = watched();
    alice.publish(&pidf::of_device(&alice.aor(), "desk", "open", "working"));
    let notify =
        watch.notify_with(&bob, "with the device", |m| m.text().contains("urn:x-mac:desk"));
    let text = notify.text();
    let document = roxmltree::Document::parse(&text).expect("well-formed");
    let tuple = document.descendants().find(|n| n.has_tag_name((pidf::NAMESPACE, "tuple")));
    let device =
        tuple.and_then(|t| t.children().find(|n| n.has_tag_name((DATA_MODEL, "deviceID"))));
    assert_eq!(device.and_then(|d| d.text()).map(str::trim), Some("urn:x-mac:desk"), "{notify}");
}

#[test]
fn r20_one_device_signing_off_does_not_show_the_user_offline() {
    let (_node, alice, cell, bob, watch) = watched();
    alice.publish_again(&pidf::of_device(&alice.aor(), "desk", "open", "working"));
    cell.publish_again(&pidf::of_device(&cell.aor(), "cell", "open", "working"));
    watch.notify_with(&bob, "with both", |m| {
        m.text().contains("urn:x-mac:desk") && m.text().contains("urn:x-mac:cell")
    });
    // First the cell phone says closed, then its publication goes altogether.
    cell.publish_again(&pidf::of_device(&cell.aor(), "cell", "closed", "working"));
    bob.barrier();
    cell.republish(&cell.etag().expect("published"), None, 0).expect_status(200);
    let last =
        watch.notify_with(&bob, "without the cell phone", |m| !m.text().contains("urn:x-mac:cell"));
    assert!(Presence::of(&last).is_open(), "{last}");
    let open = |m: &Message| watch.is_notify(m) && m.text().contains("urn:x-mac:desk");
    for notify in bob.log().iter().filter(|m| open(m)) {
        assert!(Presence::of(notify).is_open(), "shown offline in between: {notify}");
    }
    alice.republish(&alice.etag().expect("published"), None, 0).expect_status(200);
    let last =
        watch.notify_with(&bob, "without any device", |m| !m.text().contains("urn:x-mac:desk"));
    assert!(!Presence::of(&last).is_open(), "{last}");
}

#[test]
fn rfc4480_activities_moods_and_unknown_rpid_survive() {
    let (_node, alice, _cell, bob, watch) = watched();
    let document = "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
        xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
        xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"sip:alice@example.test\">\
        <tuple id=\"t\"><status><basic>open</basic></status><rpid:user-input \
        idle-threshold=\"600\" last-input=\"2004-10-21T13:20:00-05:00\">idle</rpid:user-input>\
        <rpid:relationship><rpid:assistant/></rpid:relationship></tuple>\
        <dm:person id=\"p1\"><rpid:activities from=\"2005-05-30T12:00:00+05:00\">\
        <rpid:note>Far away</rpid:note><rpid:away/><rpid:other>diving</rpid:other>\
        </rpid:activities><rpid:mood><rpid:angry/><rpid:other>brooding</rpid:other></rpid:mood>\
        <rpid:place-is><rpid:audio><rpid:noisy/></rpid:audio></rpid:place-is>\
        <rpid:newer-than-you>x</rpid:newer-than-you></dm:person></presence>";
    alice.publish(document);
    let notify = watch.notify_with(&bob, "with the person", |m| m.text().contains("diving"));
    let parts = [
        "idle-threshold=\"600\"",
        "assistant",
        "Far away",
        "away",
        "brooding",
        "noisy",
        "newer-than-you",
    ];
    for part in parts {
        assert!(notify.text().contains(part), "{part} is lost: {notify}");
    }
}
