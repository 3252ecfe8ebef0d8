//! Event packages beside presence: dialog (RFC 4235), message-summary (RFC 3842), reg (RFC 3680).

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::wire::message::Message;
use lamplight_tests::wire::{Client, Request, Subscription, Via};
use lamplight_tests::xcap::{EVERYTHING, Tree, rule};

const DIALOG: &str = "application/dialog-info+xml";

fn setup() -> (Node, [Client; 3]) {
    let node = Node::start_new();
    let clients = node.clients(["alice", "bob", "carol"]);
    (node, clients)
}

fn follow(client: &Client, aor: &str, package: &str, media: &str) -> Subscription {
    client.subscribe_with(client.subscription(aor).set("Event", package).set("Accept", media))
}

fn call(id: &str, call_id: &str, state: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><d:dialog-info xmlns:d=\"urn:ietf:params:xml:ns:dialog-info\" \
         version=\"7\" state=\"partial\" entity=\"sip:alice@example.test\">\
         <d:dialog id=\"{id}\" call-id=\"{call_id}\" local-tag=\"l\" direction=\"recipient\">\
         <d:state>{state}</d:state><d:remote><d:identity>sip:x@y &amp; z</d:identity></d:remote>\
         </d:dialog></d:dialog-info>"
    )
}

fn publish(client: &Client, package: &str, media: &str, body: &str) -> Request {
    client.publication().set("Event", package).body(media, body)
}

/// The dialogs of a NOTIFY: id and state.
#[track_caller]
fn dialogs(notify: &Message) -> (u32, Vec<(String, String)>) {
    assert_eq!(notify.expect_header("Content-Type"), DIALOG);
    assert_eq!(notify.expect_header("Event"), "dialog");
    let text = notify.text();
    let tree = roxmltree::Document::parse(&text).expect("dialog-info");
    let root = tree.root_element();
    assert_eq!(root.attribute("state"), Some("full"));
    assert_eq!(root.attribute("entity"), Some("sip:alice@example.test"));
    let version = root.attribute("version").expect("version").parse().expect("a number");
    let dialogs = root.children().filter(roxmltree::Node::is_element).map(|dialog| {
        let state = dialog.first_element_child().and_then(|state| state.text());
        (dialog.attribute("id").expect("id").to_owned(), state.unwrap_or_default().to_owned())
    });
    (version, dialogs.collect())
}

fn one(id: &str, state: &str) -> Vec<(String, String)> {
    vec![(id.to_owned(), state.to_owned())]
}

#[test]
fn rfc4235_lamps_follow_calls_and_go_dark() {
    let (_node, [alice, bob, _]) = setup();
    let lamp = follow(&bob, &alice.aor(), "dialog", DIALOG);
    assert_eq!(dialogs(&lamp.notify(&bob)), (0, Vec::new()));
    let ring = publish(&alice, "dialog", DIALOG, &call("a", "c1", "early"));
    let answer = alice.request(ring).expect_status(200);
    let etag = answer.expect_header("SIP-ETag").to_owned();
    let lit = lamp.notify(&bob);
    assert_eq!(dialogs(&lit), (1, one("a", "early")));
    assert!(lit.text().contains("sip:x@y &amp; z"), "{lit}");
    let end = publish(&alice, "dialog", DIALOG, &call("a", "c1", "terminated"));
    alice.request(end.header("SIP-If-Match", etag)).expect_status(200);
    assert_eq!(dialogs(&lamp.notify(&bob)), (2, one("a", "terminated")));
    // what comes late from another publisher does not light the lamp again.
    let pbx = Request { ..publish(&alice, "dialog", DIALOG, &call("b", "c1", "early")) };
    alice.request(pbx).expect_status(200);
    assert_eq!(dialogs(&lamp.notify(&bob)), (3, one("a", "terminated")));
}

#[test]
fn rfc4235_several_phones_of_one_user_make_one_document() {
    let (mut node, [alice, bob, _]) = setup();
    let desk = node.client("alice");
    let calls = [(&alice, "c1", "confirmed"), (&desk, "c2", "early")];
    for (phone, id, state) in calls {
        // Both call theirs the same.
        phone.request(publish(phone, "dialog", DIALOG, &call("a", id, state))).expect_status(200);
    }
    let lamp = follow(&bob, &alice.aor(), "dialog", DIALOG);
    let both =
        vec![("a".to_owned(), "early".to_owned()), ("a_".to_owned(), "confirmed".to_owned())];
    assert_eq!(dialogs(&lamp.notify(&bob)).1, both);
    node.crash_and_restart();
    let (version, after) = dialogs(&lamp.notify(&bob));
    assert!(version > 0);
    assert_eq!(after, both, "nothing is lost");
}

#[test]
fn rfc4235_s3_6_who_may_not_see_presence_does_not_see_calls() {
    let (node, [alice, bob, carol]) = setup();
    alice
        .request(publish(&alice, "dialog", DIALOG, &call("a", "c1", "confirmed")))
        .expect_status(200);
    let tree = Tree::of(&node, &alice);
    let lamp = follow(&bob, &alice.aor(), "dialog", DIALOG);
    lamp.notify(&bob);
    tree.put_rules(&format!(
        "{}{}",
        rule("b", &bob.aor(), "polite-block", ""),
        rule("c", &carol.aor(), "confirm", EVERYTHING)
    ));
    assert_eq!(dialogs(&lamp.notify(&bob)).1, Vec::new());
    let waiting = follow(&carol, &alice.aor(), "dialog", DIALOG).notify(&carol);
    assert!(waiting.expect_header("Subscription-State").starts_with("pending"), "{waiting}");
    assert!(waiting.body.is_empty());
    tree.put_rules("");
    let last = lamp.notify(&bob);
    assert!(last.expect_header("Subscription-State").contains("rejected"), "{last}");
}

#[test]
fn rfc3903_s6_what_cannot_be_is_refused() {
    let (_node, [alice, bob, _]) = setup();
    let ask = |package: &str, media: &str, body: &str| {
        alice.request(publish(&alice, package, media, body))
    };
    let wrong = ask("dialog", "application/pidf+xml", "<a/>").expect_status(415);
    assert_eq!(wrong.expect_header("Accept"), DIALOG);
    ask("dialog", DIALOG, "<dialog-info/>").expect_status(400);
    ask("dialog", DIALOG, "<a").expect_status(400);
    ask("message-summary", "application/simple-message-summary", "hello").expect_status(400);
    ask("reg", "application/reginfo+xml", "<reginfo/>").expect_status(489);
    ask("conference", "text/plain", "x").expect_status(489);
    let stale = publish(&alice, "dialog", DIALOG, &call("a", "c", "early"));
    alice.request(stale.header("SIP-If-Match", "none")).expect_status(412);
    let other =
        Request { uri: alice.aor(), ..publish(&bob, "dialog", DIALOG, &call("a", "c", "early")) };
    bob.request(other.set("To", format!("<{}>", alice.aor()))).expect_status(403);
    let accept = alice.subscription(&alice.aor()).set("Event", "dialog");
    alice.request(accept.set("Accept", "text/plain")).expect_status(406);
}

#[test]
fn rfc3842_a_lamp_says_that_messages_wait() {
    let (_node, [alice, bob, _]) = setup();
    let media = "application/simple-message-summary";
    let lamp = follow(&alice, &alice.aor(), "message-summary", media);
    assert_eq!(lamp.notify(&alice).text(), "Messages-Waiting: no\r\n");
    let summary = "Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n";
    alice.request(publish(&alice, "message-summary", media, summary)).expect_status(200);
    let lit = lamp.notify(&alice);
    assert_eq!(lit.text(), summary);
    assert_eq!(lit.expect_header("Content-Type"), media);
    let nosy = bob.subscription(&alice.aor()).set("Event", "message-summary").set("Accept", media);
    bob.request(nosy).expect_status(403);
}

#[test]
fn rfc3680_bindings_are_told_to_their_owner() {
    let node = Setup::default().trusting().start();
    let [alice, _bob] = node.clients(["alice", "bob"]);
    let media = "application/reginfo+xml";
    let watch = follow(&alice, &alice.aor(), "reg", media);
    let first = watch.notify(&alice);
    assert!(first.text().contains("state=\"init\""), "{first}");
    alice.register();
    let bound = watch.notify(&alice);
    assert!(bound.text().contains("state=\"active\" event=\"registered\""), "{bound}");
    assert!(bound.text().contains(&alice.contact()), "{bound}");
    let cell = node.client_over(Via::Tcp, "alice");
    cell.register();
    watch.notify_with(&alice, "two bindings", |m| m.text().matches("<contact ").count() == 2);
    drop(cell);
    watch.notify_with(&alice, "one again", |m| m.text().matches("<contact ").count() == 1);
    alice.unregister();
    watch.notify_with(&alice, "none", |m| m.text().contains("state=\"init\""));
}
