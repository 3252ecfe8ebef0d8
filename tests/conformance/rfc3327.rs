//! RFC 3327: Path.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::wire::{Client, Request};

fn pair() -> (Node, Client, Client) {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

fn with_path(client: &Client, path: &str) -> Request {
    client
        .registration()
        .header("Contact", "<sip:phone@192.0.2.9>")
        .header("Supported", "path")
        .header("Path", path)
        .header("Expires", 3600)
}

#[test]
fn s5_3_the_path_is_stored_and_returned() {
    let (_node, alice, _bob) = pair();
    let path = "<sip:edge.example.test;lr>, <sip:inner.example.test;lr;x=a>";
    let answer = alice.request(with_path(&alice, path)).expect_status(200);
    let returned = answer.all("Path");
    assert_eq!(returned.len(), 2, "{answer}");
    assert!(returned[0].contains("edge") && returned[1].contains("inner"), "{answer}");
}

#[test]
fn s5_4_requests_to_the_binding_follow_the_path() {
    let (_node, alice, bob) = pair();
    // Bob's own socket plays the edge proxy in front of a phone that cannot be reached.
    let path = format!("<sip:{};lr>", bob.local);
    alice.request(with_path(&alice, &path)).expect_status(200);
    alice.transact(Request::new("MESSAGE", &alice.aor()).body("text/plain", "via the edge"));
    let received = bob.expect_request("MESSAGE");
    assert_eq!(received.request_uri(), "sip:phone@192.0.2.9", "{received}");
    assert_eq!(received.all("Route"), [path], "{received}");
}

#[test]
fn s5_3_a_path_without_support_for_it_is_taken_or_refused_by_420() {
    let (_node, alice, _bob) = pair();
    let request = with_path(&alice, "<sip:edge.example.test;lr>").without("Supported");
    alice.request(request).expect_one_of(&[200, 420, 421]);
}

#[test]
fn s5_3_a_malformed_path_is_a_bad_request() {
    let (_node, alice, _bob) = pair();
    alice.request(with_path(&alice, "<<not a path")).expect_status(400);
}
